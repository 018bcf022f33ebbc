"""The figures of the blind spots (2506.01318), drawn from the summary and from predictions."""

import itertools

import matplotlib
import numpy as np
import pandas as pd

from lfcore.core.tables import where
from lfcore.plots import style

PAPER = {
    "original": (0.621, 0.574, 100.0),
    "retrained": (0.2384, 0.1779, 58.70),
    "boundary_shrink": (0.1435, None, 72.96),
    "delete": (0.1216, None, 31.72),
    "salun": (0.1664, None, 11.70),
    "salun-spotter": (0.0345, None, 4.44),
    "spotter": (0.0228, 0.0267, 0.24),
    "spotter-dispersion0.1": (0.0139, None, 62.12),
}
"""2506.01318 on CIFAR-10, ResNet-18, class 0: OU@0.03 (PGD), OU of Gaussian noise, accuracy after the prototype attack.

PGD and the attack from its tables; the original, and Gaussian noise, from its public notebook. Both in mode released.
"""


def over_unlearning(rows: pd.DataFrame, unlearners: list[str]):
    """A panel for each mode and kind of image: OU against eps, a line for each unlearner, the floor a grey band.

    rows: from `lfcore.plots.panels.keyed` with the columns mode, kind, eps.
    """
    places = list(itertools.product(("intended", "released"), ("pgd", "gaussian")))
    places = [place for place in places if ((rows["mode"] == place[0]) & (rows["kind"] == place[1])).any()]
    figure, axes = _panels(-(-len(places) // 2), min(2, len(places)), sharey=True)
    for axis, (mode, kind) in zip(axes.flat, places, strict=False):
        _lines(axis, where(rows, mode=mode, kind=kind), unlearners, "eps")
        axis.axhline(np.log(2), color="0.3", linewidth=0.8, linestyle=":")
        axis.set(title=f"{mode}, {kind}", xlabel="eps", ylabel="OU@eps (JS, nats)", ylim=(-0.02, 0.72))
    style.legend(figure)
    return figure


def prototypes(best: pd.DataFrame, sweep: pd.DataFrame, unlearners: list[str], k: int):
    """Above: relearning accuracy against k, at the best strength. Below: against alpha, with `k` examples.

    best, sweep: from `lfcore.plots.panels.keyed` with the columns kind, k and kind, k, alpha.
    """
    kinds = list(best["kind"].unique())
    figure, axes = _panels(2, len(kinds), sharey=True)
    for column, kind in enumerate(kinds):
        _lines(axes[0, column], where(best, kind=kind), unlearners, "k")
        axes[0, column].set(title=f"{kind}, best alpha", xlabel="k", xscale="log")
        axes[0, column].set_xticks(sorted(best["k"].unique()), [f"{one:g}" for one in sorted(best["k"].unique())])
        axes[0, column].minorticks_off()
        _lines(axes[1, column], where(sweep, kind=kind, k=k), unlearners, "alpha")
        axes[1, column].set(title=f"{kind}, k = {k}", xlabel="alpha", ylim=(-3, 103))
    for axis in axes[:, 0]:
        axis.set_ylabel("accuracy on the\nforget set (percent)")
    style.legend(figure)
    return figure


def embeddings(points: pd.DataFrame):
    """A panel for each unlearner: train examples by class, the forget set in black. points: `geometry.projection`."""
    names = list(points["unlearner"].unique())
    columns = min(4, len(names))
    figure, axes = _panels(-(-len(names) // columns), columns, sharex=True, sharey=True, size=2.6)
    palette = matplotlib.colormaps["turbo"](np.linspace(0.05, 0.95, int(points["label"].max()) + 1))
    for axis, name in itertools.zip_longest(axes.flat, names):
        if name is None:
            axis.set_visible(False)
            continue
        part = points[points["unlearner"] == name]
        for label, dots in part[~part["forget"]].groupby("label"):
            axis.plot(dots["x"], dots["y"], ".", markersize=2, color=palette[label], alpha=0.5, label=str(label))
        gone = part[part["forget"]]
        axis.plot(gone["x"], gone["y"], "x", markersize=4, color="black", markeredgewidth=0.7, label="forget set")
        axis.set_title("retrained (rotated)" if name == style.FLOOR else name, fontsize=8)
    figure.supxlabel("first component of the original", fontsize=9)
    figure.supylabel("second component", fontsize=9)
    style.legend(figure)
    return figure


def two_definitions(table: pd.DataFrame, unlearners: list[str]):
    """A panel for each measure of 2605.31317, a point for each unlearner, against OU@0.03; the floor's lines are grey.

    table: from `pair_definitions`.
    """
    panels = list(table["panel"].unique())
    figure, axes = _panels(1, len(panels), size=4.2)
    for axis, panel in zip(axes.flat, panels, strict=True):
        part = table[table["panel"] == panel].set_index("unlearner")
        for name, look in style.looks([one for one in unlearners if one in part.index]).items():
            one = part.loc[name]
            errors = {
                "xerr": [[one["mean_ou"] - one["low_ou"]], [one["high_ou"] - one["mean_ou"]]],
                "yerr": [[one["mean"] - one["low"]], [one["high"] - one["mean"]]],
            }
            look = look | {"linestyle": "", "marker": look.get("marker") or "*"}
            axis.errorbar(one["mean_ou"], one["mean"], **errors, markersize=6, elinewidth=0.8,
                          label=style.title(name), **look)  # fmt: skip
            if name == style.FLOOR:
                axis.axvspan(one["low_ou"], one["high_ou"], color="0.85", zorder=0, linewidth=0)
                axis.axhspan(one["low"], one["high"], color="0.85", zorder=0, linewidth=0)
        axis.set(xlabel="OU@0.03 (JS, nats)", ylabel=panel, xlim=(-0.02, 0.72))
        axis.set_ylim(0, 1.3 * part["mean"].max())  # an interval of few seeds may end beyond
    style.legend(figure)
    return figure


def _panels(rows: int, columns: int, size: float = 3.4, **shared):
    return style.panels(rows, columns, (size * columns, 0.85 * size * rows), **shared)


def _lines(axis, rows: pd.DataFrame, unlearners: list[str], along: str) -> None:
    """A line with its interval for each unlearner of `rows`; the floor as a band."""
    for name, look in style.looks([one for one in unlearners if one in set(rows["unlearner"])]).items():
        line = where(rows, unlearner=name).sort_values(along)
        style.line(axis, line[along], line, name, look)
        if name != style.FLOOR:
            axis.vlines(line[along], *style.ends(line), color=look["color"], linewidth=0.7, alpha=0.5)


def beside_paper(summary: pd.DataFrame) -> pd.DataFrame:
    """PAPER beside this summary's numbers: the methods of both, a row for each forget set and unlearner.

    The attack is the paper's (cosine, k = 5), here at each method's best strength.
    """
    places = {
        "OU, PGD": ("over_unlearning", "released/pgd/0.03", "intended/pgd/0.03"),
        "OU, Gaussian": ("over_unlearning", "released/gaussian/0.03", "intended/gaussian/0.03"),
        "prototype attack": ("prototype_best", "cosine/5"),
    }
    columns = {}
    for place, (title, (metric, *keys)) in enumerate(places.items()):
        rows = where(summary, metric=metric, split="forget")
        rows = rows[rows["unlearner"].isin(PAPER)]
        published = {name: numbers[place] for name, numbers in PAPER.items()}
        for key in keys:
            found = rows[rows["key"] == key].set_index(["forget_set", "unlearner"])["mean"]
            columns.setdefault(f"{title}: paper", found.index.get_level_values("unlearner").map(published))
            ending = f", {key.split('/')[0]}" if len(keys) > 1 else ""
            columns[f"{title}: here{ending}"] = found
    table = pd.DataFrame(columns, index=found.index).astype(float)
    return table.sort_index(key=lambda level: level.map(list(PAPER).index) if level.name == "unlearner" else level)


def pair_definitions(rows: pd.DataFrame) -> pd.DataFrame:
    """The panels "definitions" of `pick` side by side: damage (panel, mean, low, high), and OU@0.03 (…_ou)."""
    by = ["forget_set", "network", "unlearner"]
    numbers = [*by, "mean", "low", "high"]
    across = rows[rows["panel"] == "OU@0.03"][numbers]
    return rows[rows["panel"] != "OU@0.03"][["panel", *numbers]].merge(across, on=by, suffixes=("", "_ou"))


def compare_definitions(table: pd.DataFrame) -> str:
    """What `two_definitions` says to a reader who has to choose a measure, in sentences whose numbers are computed."""
    sentences = []
    for (forget_set, panel), part in table.groupby(["forget_set", "panel"], sort=False):
        methods = part[~part["unlearner"].isin(["original", style.FLOOR])]
        floor = where(part, unlearner=style.FLOOR).iloc[0]
        lower = methods[methods["high_ou"] < floor["low_ou"]]
        nearer = methods[methods["high"] < floor["low"]]
        order = methods["mean_ou"].corr(methods["mean"], method="spearman")
        lowest = methods.loc[methods["mean_ou"].idxmin()]
        place = 1 + int((methods["mean"] < lowest["mean"]).sum())
        sentences += [
            f"Forget set {forget_set}; {' '.join(panel.split())}.",
            f"  Retrained models have OU@0.03 = {floor['mean_ou']:.3f} [{floor['low_ou']:.3f}, {floor['high_ou']:.3f}]"
            f" nats, not 0; {len(lower)} of {len(methods)} methods are below it with their whole interval.",
            f"  By this measure retrained models have {floor['mean']:.3f} [{floor['low']:.3f}, {floor['high']:.3f}];"
            f" {len(nearer)} of {len(methods)} methods are below that.",
            f"  The method with the lowest OU@0.03, {lowest['unlearner']} ({lowest['mean_ou']:.3f}), is by this measure"
            f" number {place} of {len(methods)} ({lowest['mean']:.3f}).",
            f"  Spearman's correlation of the two over methods: {order:.2f}.",
        ]
    return "\n".join(sentences)

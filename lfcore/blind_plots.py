"""The figures of the blind spots (2506.01318), drawn from the summary and from predictions."""

import itertools

import numpy as np
import pandas as pd

from lfcore import style


def over_unlearning(rows: pd.DataFrame, unlearners: list[str]):
    """A panel for each mode and kind of image: OU against eps, a line for each unlearner, the floor a grey band.

    rows: from `lfcore.views.keyed` with the columns mode, kind, eps.
    """
    places = list(itertools.product(("intended", "released"), ("pgd", "gaussian")))
    places = [place for place in places if ((rows["mode"] == place[0]) & (rows["kind"] == place[1])).any()]
    figure, axes = _panels(-(-len(places) // 2), min(2, len(places)), sharey=True)
    for axis, (mode, kind) in zip(axes.flat, places, strict=False):
        _lines(axis, rows[(rows["mode"] == mode) & (rows["kind"] == kind)], unlearners, "eps")
        axis.axhline(np.log(2), color="0.3", linewidth=0.8, linestyle=":")
        axis.set(title=f"{mode}, {kind}", xlabel="eps", ylabel="OU@eps (JS, nats)", ylim=(-0.02, 0.72))
    _legend(figure, axes)
    return figure


def prototypes(best: pd.DataFrame, sweep: pd.DataFrame, unlearners: list[str], k: int):
    """Above: relearning accuracy against k, at the best strength. Below: against alpha, with `k` examples.

    best, sweep: from `lfcore.views.keyed` with the columns kind, k and kind, k, alpha.
    """
    kinds = list(best["kind"].unique())
    figure, axes = _panels(2, len(kinds), sharey=True)
    for column, kind in enumerate(kinds):
        _lines(axes[0, column], best[best["kind"] == kind], unlearners, "k")
        axes[0, column].set(title=f"{kind}, best alpha", xlabel="k", xscale="log")
        axes[0, column].set_xticks(sorted(best["k"].unique()), [f"{one:g}" for one in sorted(best["k"].unique())])
        axes[0, column].minorticks_off()
        _lines(axes[1, column], sweep[(sweep["kind"] == kind) & (sweep["k"] == k)], unlearners, "alpha")
        axes[1, column].set(title=f"{kind}, k = {k}", xlabel="alpha", ylim=(-3, 103))
    for axis in axes[:, 0]:
        axis.set_ylabel("accuracy on the\nforget set (percent)")
    _legend(figure, axes)
    return figure


def embeddings(points: pd.DataFrame):
    """A panel for each unlearner: train examples by class, the forget set in black. points: of `lfcore.embedding`."""
    names = list(points["unlearner"].unique())
    columns = min(4, len(names))
    figure, axes = _panels(-(-len(names) // columns), columns, sharex=True, sharey=True, size=2.6)
    palette = style.sns.color_palette("husl", int(points["label"].max()) + 1)
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
    handles = {}
    for axis in axes.flat:
        handles |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    style.legend(figure, handles)
    return figure


def plane(table: pd.DataFrame, unlearners: list[str]):
    """A panel for each measure of 2605.31317, a point for each unlearner, against OU@0.03; the floor's lines are grey.

    table: from `lfcore.blind_views.plane`.
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
            label = "retrained (floor)" if name == style.FLOOR else name
            axis.errorbar(one["mean_ou"], one["mean"], **errors, markersize=6, elinewidth=0.8, label=label, **look)
            if name == style.FLOOR:
                axis.axvspan(one["low_ou"], one["high_ou"], color="0.85", zorder=0, linewidth=0)
                axis.axhspan(one["low"], one["high"], color="0.85", zorder=0, linewidth=0)
        axis.set(xlabel="OU@0.03 (JS, nats)", ylabel=panel, xlim=(-0.02, 0.72))
        axis.set_ylim(0, 1.3 * part["mean"].max())  # an interval of few seeds may end beyond
    _legend(figure, axes)
    return figure


def _panels(rows: int, columns: int, size: float = 3.4, **shared):
    return style.plt.subplots(
        rows, columns, figsize=(size * columns, 0.85 * size * rows), squeeze=False, layout="constrained", **shared
    )


def _lines(axis, rows: pd.DataFrame, unlearners: list[str], along: str) -> None:
    """A line with its interval for each unlearner of `rows`; the floor as a band."""
    for name, look in style.looks([one for one in unlearners if one in set(rows["unlearner"])]).items():
        line = rows[rows["unlearner"] == name].sort_values(along)
        low, high = (line[end].fillna(line["mean"]) for end in ("low", "high"))
        if name == style.FLOOR:
            axis.fill_between(line[along], low, high, alpha=0.5, label="retrained (floor)", **look)
            continue
        axis.plot(line[along], line["mean"], label=name, linewidth=1.2, markersize=4, alpha=0.9, **look)
        axis.vlines(line[along], low, high, color=look["color"], linewidth=0.7, alpha=0.5)


def _legend(figure, axes) -> None:
    style.legend(figure, dict(zip(*reversed(axes.flat[0].get_legend_handles_labels()), strict=True)))

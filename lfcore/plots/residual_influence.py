"""What near-duplicates leave of deleted examples: residual influence, requests that widen, reconstruction."""

from pathlib import Path

import numpy as np
import pandas as pd

from lfcore.core import tables
from lfcore.core.errors import InputError
from lfcore.core.tables import where
from lfcore.plots import style
from lfcore.plots.tables import rename_interval
from lfcore.statistics.summary import above_floor, over_seeds

INFLUENCE_FREE = "influence_free"
"""The floor of this study, as `experiments._residual` calls it; that module imports torch, a figure does not."""
MEASURES = {
    "residual_margin": "residual margin\n(logits)",
    "residual_confidence": "residual confidence\n(points)",
    "residual_membership": "residual membership\n(AUC)",
}
LOOKS = {
    style.FLOOR: {"color": "black", "marker": "o", "linestyle": "-", "markerfacecolor": "white"},
    INFLUENCE_FREE: {"color": "0.6", "marker": "", "linestyle": "-"},
}
"""Here the floor is influence-free retraining, and plain retraining is a method."""
FACTORS = {"residual_confidence": 100}
"""From the unit of the table to that of the axis."""


def read(paths: list[str | Path]) -> pd.DataFrame:
    """The tables of several experiments in one, with the columns of their options; a missing option is NaN."""
    if not paths:
        raise InputError("A figure needs the table of one experiment at least: name some.")
    return pd.concat([tables.read(path) for path in paths], ignore_index=True)


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays beside the table at `path`."""
    return tables.read_arrays(Path(path).with_suffix(".npz"))


def summarize(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean, sd and 95 % Student t interval over seeds of each number; the options of its experiment stay."""
    by = [column for column in rows.columns if column not in ("seed", "value")]
    return over_seeds(rows, by, sort=False, dropna=False)


def average_residuals(table: pd.DataFrame, reference: str = INFLUENCE_FREE) -> pd.DataFrame:
    """The rows of MEASURES against one reference, averaged over seeds, in the units of the axes."""
    rows = table[(table["reference"] == reference) & table["metric"].isin(MEASURES)].copy()
    rows["value"] *= rows["metric"].map(FACTORS).fillna(1)
    return summarize(rows)


def conditions(rows: pd.DataFrame, *, copies: int, block: int, share: float) -> pd.DataFrame:
    """`rows` with the columns `sweep`, what is varied around the given condition, and `at`, its value, once for each.

    Sweeps are "copies", "share" and "control"; of the last, `at` is the experiment's name. The given condition stands
    in both of the others.
    """
    made = rows[rows["copies"].notna() & (rows["unrelated"].astype(str) != "True")]
    parts = {
        "copies": made[(made["block"] == block) & (made["share"] == share)],
        "share": made[(made["block"] == block) & (made["copies"] == copies)],
        "control": rows.drop(made.index[made["block"] == block]),
    }
    found = [
        part.assign(sweep=name, at=part["experiment"] if name == "control" else part[name].astype(float))
        for name, part in parts.items()
    ]
    return pd.concat(found, ignore_index=True)


def residual(rows: pd.DataFrame, unlearners: list[str]):
    """A figure of residual influence: a row of panels a measure, a column a sweep. rows: from `conditions`.

    Lines and 95 % intervals over seeds; the band is the floor, influence-free models of other seeds. Panels end where
    the means do; an interval that is wider is cut.
    """
    titles = {"copies": "copies of each target, m", "share": "share of masked blocks, r", "control": ""}
    sweeps = [name for name in titles if (rows["sweep"] == name).any()]
    if not sweeps:
        raise InputError("None of these experiments has residuals to draw: name those of copies or natural.")
    size = (3.6 * len(sweeps), 2.3 * len(MEASURES))
    figure, axes = style.panels(len(MEASURES), len(sweeps), size, sharex="col", sharey="row")
    for line, (measure, label) in enumerate(MEASURES.items()):
        for axis, sweep in zip(axes[line], sweeps, strict=True):
            _draw_lines(axis, where(rows, metric=measure, sweep=sweep), unlearners)
        for axis, sweep in zip(axes[-1], sweeps, strict=True):
            axis.set_xlabel(titles[sweep])
        shown = rows.loc[(rows["metric"] == measure) & rows["unlearner"].isin(unlearners), "mean"]
        low, high = min(0, shown.min()), max(0, shown.max())
        axes[line, 0].set_ylim(low - 0.15 * (high - low), high + 0.15 * (high - low))
        axes[line, 0].set_ylabel(label)
    style.legend(figure)
    return figure


def _draw_lines(axis, rows: pd.DataFrame, unlearners: list[str]) -> None:
    axis.axhline(0, color="0.3", linewidth=0.8)
    places = list(dict.fromkeys(rows["at"]))
    named = any(isinstance(place, str) for place in places)
    order = places if named else sorted(places)
    width = 0.6 / len(unlearners) if named else 0.0
    for position, (name, look) in enumerate(style.looks(unlearners, LOOKS).items()):
        line = rows[rows["unlearner"] == name].drop_duplicates("at").set_index("at").reindex(order).dropna(how="all")
        if line.empty:
            continue
        x = np.array([order.index(place) for place in line.index]) if named else line.index.to_numpy(dtype=float)
        x = x + width * (position - (len(unlearners) - 1) / 2)
        if name == INFLUENCE_FREE:
            margin = 0.5 if named else 0.04 * np.ptp(x) + 1e-9  # the band ends a little beyond its points
            axis.fill_between(
                [x.min() - margin, x.max() + margin], line["low"].min(), line["high"].max(), color="0.6", alpha=0.5,
                linewidth=0, label="influence-free (floor)",
            )  # fmt: skip
            continue
        shown = look | ({"linestyle": "", "marker": look["marker"] or "_"} if named else {})
        axis.errorbar(
            x, line["mean"], style.errors(line), label=name, linewidth=1.2, elinewidth=0.7, markersize=4, **shown
        )
    if named:
        axis.set_xticks(range(len(order)), [place.replace("-", "\n") for place in order], fontsize=7)
    elif len(order) < 7:
        axis.set_xticks(order)


def compare_requests(table: pd.DataFrame) -> pd.DataFrame:
    """For each unlearner and request: residual margin, damage near the targets above the floor's, accuracy, intervals.

    Columns experiment, unlearner, request, `residual`, `damage` (points of total variation) and `accuracy` (points of
    test accuracy above the floor's), each with _low and _high; `found` (percent of copies) and `taken` (ordinary
    examples), means. Damage and accuracy are differences to the floor with Welch's interval.
    """
    rows = summarize(table[table["scope"] == "request"])
    rows[["request", "part"]] = rows["key"].str.split("/", expand=True).reindex(columns=[0, 1]).fillna("")
    margins = where(rows, metric="residual_margin")
    damage, accuracy = where(rows, metric="total_variation", part="near"), where(rows, metric="accuracy")
    kinds = {
        "residual": (margins[margins["unlearner"] != INFLUENCE_FREE], 1),
        "damage": (above_floor(damage, ["experiment"], INFLUENCE_FREE), 100),
        "accuracy": (above_floor(accuracy, ["experiment"], INFLUENCE_FREE), 1),
    }
    place = ["experiment", "unlearner", "request"]
    parts = [rename_interval(part, place, name) * factor for name, (part, factor) in kinds.items()]
    facts = rows[rows["metric"].isin(["found", "taken"])]
    facts = facts.pivot_table(index=["experiment", "request"], columns="metric", values="mean")
    return pd.concat(parts, axis=1).reset_index().merge(facts.reset_index(), how="left", on=["experiment", "request"])


def request(points: pd.DataFrame, unlearners: list[str], beside: dict[str, str]):
    """A panel a method: residual influence against collateral damage, request by request.

    points: from `compare_requests`. beside: unlearners drawn, with open markers, in the panel of another. Panels end
    where the means do; an interval that is wider is cut.
    """
    names = style.present(unlearners, points)
    figure, axes = style.panels(1, len(names), (3.4 * len(names), 3.2), sharey=True)
    marks = dict(zip(dict.fromkeys(points["request"]), style.MARKERS, strict=False)) | {"oracle": "*"}
    handles = {}
    for axis, (name, look) in zip(axes[0], style.looks(names, LOOKS).items(), strict=True):
        axis.axhline(0, color="0.3", linewidth=0.8)
        axis.axvline(0, color="0.3", linewidth=0.8)
        others = [other for other, panel in beside.items() if panel == name]
        for own in (name, *others):
            part = points[points["unlearner"] == own]
            path = part[part["request"] != "oracle"]
            axis.plot(path["damage"], path["residual"], color=look["color"], linewidth=1)
            errors = style.errors(part, "residual"), style.errors(part, "damage")
            axis.errorbar(part["damage"], part["residual"], *errors, fmt="none", ecolor=look["color"], elinewidth=0.5)
            for point in part.itertuples():
                label = point.request if own == name else f"{point.request}, {own}"
                colour, size = ("0.3", 9) if point.request == "oracle" else (look["color"], 6)
                (handles[label],) = axis.plot(
                    point.damage, point.residual, marks[point.request], color=colour, markersize=size,
                    markerfacecolor=None if own == name else "white",
                )  # fmt: skip
        shown = points[points["unlearner"].isin([name, *others])]
        left, right = min(0, shown["damage"].min()), max(1, shown["damage"].max())
        axis.set_xlim(left - 0.1 * (right - left), right + 0.1 * (right - left))
        axis.set_title(name, fontsize=9)
    low, high = min(0, points["residual"].min()), max(0, points["residual"].max())
    axes[0, 0].set_ylim(low - 0.2 * (high - low), high + 0.2 * (high - low))
    axes[0, 0].set_ylabel("residual margin on the targets (logits)")
    figure.supxlabel("damage near the targets, above the floor's (points of total variation)", fontsize=9)
    style.legend(figure, handles)
    return figure


def pictures(arrays: dict[str, np.ndarray], rows: pd.DataFrame, unlearners: list[str], seed: int = 0):
    """Targets and the best candidate from each model of one seed, with its SSIM; below, all seeds against chance.

    arrays: of one experiment; rows: its table, or those of several. seed: the position among the seeds.
    """
    names = [name for name in unlearners if f"{name}_best" in arrays]
    if not names:
        raise InputError(f"None of {', '.join(unlearners)} has pictures here: choose other unlearners for the figure.")
    targets = arrays["targets"]
    figure = style.plt.figure(figsize=(1.15 * (len(names) + 1), 1.15 * len(targets) + 3.2), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=[1.15 * len(targets), 3.2])
    axes = top.subplots(len(targets), len(names) + 1, squeeze=False)
    for line, target in enumerate(targets):
        best = [arrays[f"{name}_best"][seed, line] for name in names]
        scores = [f"{arrays[f'{name}_ssim'][seed, line]:.2f}" for name in names]
        shown = zip(["target", *names], [target, *best], ["", *scores], strict=True)
        for axis, (name, image, score) in zip(axes[line], shown, strict=True):
            axis.imshow(image, cmap="gray_r", vmin=0, vmax=1)
            axis.set(xticks=[], yticks=[])
            axis.set_xlabel(score, fontsize=7, labelpad=1)
            axis.grid(False)
            if line == 0:
                axis.set_title(name.replace("_", "\n"), fontsize=7)
    _scores(bottom.subplots(), rows, names)
    return figure


def _scores(axis, rows: pd.DataFrame, names: list[str]) -> None:
    found = summarize(rows[rows["metric"] == "ssim"])
    experiments = list(dict.fromkeys(found["experiment"]))
    for position, experiment in enumerate(experiments):
        for split, look in (("forget", {"marker": "o"}), ("test", {"marker": "_", "alpha": 0.6})):
            part = where(found, experiment=experiment, split=split).set_index("unlearner").reindex(names)
            x = np.arange(len(names)) + 0.25 * (position - (len(experiments) - 1) / 2)
            kind = "targets" if split == "forget" else "chance: test images"
            axis.errorbar(
                x, part["mean"], style.errors(part), linestyle="", color=style.COLOURS[position], markersize=5,
                elinewidth=0.8, label=f"{experiment}, {kind}", **look,
            )  # fmt: skip
    axis.set_xticks(range(len(names)), [name.replace("_", "\n") for name in names], fontsize=7)
    axis.set_ylabel("SSIM of the best candidate")
    axis.legend(fontsize=7, ncol=2, loc="lower center", bbox_to_anchor=(0.5, 1.0))

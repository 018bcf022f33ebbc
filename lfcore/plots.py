"""The figures, drawn from the summary table alone."""

import pandas as pd

from lfcore import style
from lfcore.errors import InputError
from lfcore.tuning import RETAIN, RETAIN_AFFECTED

MEASURES = {
    "accuracy_gap": ("ΔAcc (points)", 100),
    "confidence_gap": ("ΔConf (points)", 100),
    "total_variation": ("total variation", 1),
}
"""Each measure's axis label, and the factor from its unit in the table to its unit on the axis."""
FEW = 10
"""Bins with fewer examples than this are shaded."""


def curves(summary: pd.DataFrame, *, scope: str, classes: str) -> pd.DataFrame:
    """ΔAcc, ΔConf and total variation by bin, in the unit of the axis, with each bin's mean similarity and count.

    scope: "width_bin" or "count_bin"; classes: "all", "affected" or "other". Empty bins have no row.
    """
    chosen = summary[(summary["scope"] == scope) & summary["key"].str.startswith(f"{classes}/")].copy()
    if chosen.empty:
        raise InputError(f"The summary has no {scope} of {classes} classes: choose another scope or classes.")
    chosen["bin"] = chosen["key"].str.split("/").str[1].astype(int)
    place = ["forget_set", "network", "unlearner", "split", "bin"]
    facts = chosen[chosen["reference"] == ""].pivot_table(index=place, columns="metric", values="mean")
    rows = chosen[(chosen["reference"] == "retrained") & chosen["metric"].isin(MEASURES)].copy()
    factor = rows["metric"].map({name: factor for name, (_, factor) in MEASURES.items()})
    for column in ("mean", "sd", "low", "high"):
        rows[column] *= factor
    return rows.merge(facts[["similarity", "count"]], left_on=place, right_index=True).sort_values([*place, "metric"])


def localized(rows: pd.DataFrame, unlearners: list[str]):
    """A figure with a row of panels for each measure and a column for each forget set and split.

    rows: from `curves`. A line for each unlearner, with its 95 % interval over seeds; the floor is a grey band.
    """
    columns = sorted(set(zip(rows["forget_set"], rows["split"], strict=True)))
    size = (3.4 * len(columns), 2.5 * len(MEASURES))
    figure, axes = style.plt.subplots(
        len(MEASURES), len(columns), figsize=size, sharey="row", sharex="col", squeeze=False, layout="constrained"
    )
    for line, (metric, (label, _)) in enumerate(MEASURES.items()):
        for column, (forget_set, split) in enumerate(columns):
            axis = axes[line, column]
            shown = (rows["metric"] == metric) & (rows["forget_set"] == forget_set) & (rows["split"] == split)
            _draw_lines(axis, rows[shown], unlearners)
            axis.set_ylabel(label if column == 0 else "")
            if line == 0:
                axis.set_title(f"forget {forget_set}, {split} examples", pad=16)
                _print_counts(axis, rows[shown])
            if line == len(MEASURES) - 1:
                axis.set_xlabel("similarity to the forget set")
    handles = dict(zip(*reversed(axes[0, 0].get_legend_handles_labels()), strict=True))
    style.legend(figure, handles)
    return figure


def _print_counts(axis, rows: pd.DataFrame) -> None:
    """The number of examples of each bin, above the panel."""
    place = axis.get_xaxis_transform()
    for similarity, count in rows[["similarity", "count"]].drop_duplicates("similarity").itertuples(index=False):
        axis.text(similarity, 1.02, f"{count:.0f}", transform=place, ha="center", fontsize=6, color="0.4")
    axis.text(-0.01, 1.02, "n", transform=axis.transAxes, ha="right", fontsize=6, color="0.4")


def _draw_lines(axis, rows: pd.DataFrame, unlearners: list[str]) -> None:
    axis.axhline(0, color="0.3", linewidth=0.8)
    for name, look in style.looks(unlearners).items():
        line = rows[rows["unlearner"] == name].sort_values("similarity")
        if name == style.FLOOR:
            low, high = (line[end].fillna(line["mean"]) for end in ("low", "high"))
            axis.fill_between(line["similarity"], low, high, alpha=0.5, label="retrained (floor)", **look)
            continue
        axis.plot(line["similarity"], line["mean"], label=name, linewidth=1.2, markersize=4, alpha=0.9, **look)
        errors = [line["mean"] - line["low"], line["high"] - line["mean"]]
        axis.errorbar(line["similarity"], line["mean"], errors, fmt="none", ecolor=look["color"], elinewidth=0.6)
    for place in rows.loc[rows["count"] < FEW, "similarity"].unique():
        axis.axvspan(place - 0.02, place + 0.02, color="0.92", zorder=0, linewidth=0)


def affected(table: pd.DataFrame, unlearners: list[str]):
    """A figure of bars: RA_aff, UA_aff and TA_aff less those of the reference retrained models, a panel a forget set.

    table: columns forget_set, unlearner, measure, mean, low, high, in percentage points.
    """
    forget_sets = sorted(table["forget_set"].unique())
    figure, axes = style.plt.subplots(
        1, len(forget_sets), figsize=(6.5 * len(forget_sets), 3.4), sharey=True, squeeze=False, layout="constrained"
    )
    looks = style.looks(unlearners)
    for axis, forget_set in zip(axes[0], forget_sets, strict=True):
        for position, name in enumerate(unlearners):
            bars = table[(table["forget_set"] == forget_set) & (table["unlearner"] == name)]
            bars = bars.set_index("measure").loc[["RA_aff", "UA_aff", "TA_aff"]]
            places = [group + (position - len(unlearners) / 2 + 0.5) * 0.8 / len(unlearners) for group in range(3)]
            errors = [bars["mean"] - bars["low"], bars["high"] - bars["mean"]]
            label = "retrained (floor)" if name == style.FLOOR else name
            hatch = "////" if "-" in name else None
            axis.bar(
                places, bars["mean"], 0.8 / len(unlearners), color=looks[name]["color"], label=label, hatch=hatch,
                edgecolor="white", linewidth=0,
            )  # fmt: skip
            axis.errorbar(places, bars["mean"], errors, fmt="none", ecolor="0.2", elinewidth=0.6)
        axis.axhline(0, color="0.3", linewidth=0.8)
        axis.set_xticks(range(3), ["RA_aff", "UA_aff", "TA_aff"])
        axis.set_title(f"forget {forget_set}")
    axes[0, 0].set_ylabel("accuracy less that of\nretrained models (points)")
    style.legend(figure, dict(zip(*reversed(axes[0, 0].get_legend_handles_labels()), strict=True)))
    return figure


def tuning(settings: pd.DataFrame):
    """A panel for each method: UA, RA and RA_aff against the learning rate, with the chosen rate ringed.

    settings: from `lfcore.tuning.choose`.
    """
    methods = settings["method"].unique()
    figure, axes = style.plt.subplots(
        1, len(methods), figsize=(3.2 * len(methods), 2.8), sharey=True, squeeze=False, layout="constrained"
    )
    for axis, method in zip(axes[0], methods, strict=True):
        rates = settings[settings["method"] == method]
        for measure, marker in {"UA": "o", "RA": "s", "RA_aff": "^"}.items():
            axis.plot(rates["lr"], rates[measure], marker=marker, markersize=4, label=measure)
        chosen = rates[rates["chosen"]]
        axis.plot(chosen["lr"], chosen["UA"], "o", markersize=11, markerfacecolor="none", color="black", label="chosen")
        for kept in (RETAIN, RETAIN_AFFECTED):
            axis.axhline(kept, color="0.5", linestyle=":", linewidth=0.8)
        axis.set(xscale="log", xlabel="learning rate", title=method)
    axes[0, 0].set_ylabel("accuracy (percent)")
    style.legend(figure, dict(zip(*reversed(axes[0, 0].get_legend_handles_labels()), strict=True)))
    return figure

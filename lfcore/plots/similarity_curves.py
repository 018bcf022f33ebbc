"""Curves along similarity to the forget set: what changed, bin by bin."""

import pandas as pd

from lfcore.core.errors import InputError
from lfcore.core.tables import where
from lfcore.plots import style

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
    unlearners = style.present(unlearners, rows)
    columns = sorted(set(zip(rows["forget_set"], rows["split"], strict=True)))
    size = (3.4 * len(columns), 2.5 * len(MEASURES))
    figure, axes = style.panels(len(MEASURES), len(columns), size, sharey="row", sharex="col")
    for line, (metric, (label, _)) in enumerate(MEASURES.items()):
        for axis, (forget_set, split) in zip(axes[line], columns, strict=True):
            part = where(rows, metric=metric, forget_set=forget_set, split=split)
            _draw_lines(axis, part, unlearners)
            if line == 0:
                axis.set_title(f"forget {forget_set}, {split} examples", pad=16)
                _print_counts(axis, part)
        axes[line, 0].set_ylabel(label)
    for axis in axes[-1]:
        axis.set_xlabel("similarity to the forget set")
    style.legend(figure)
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
            style.line(axis, line["similarity"], line, name, look)
            continue
        enough = line.assign(mean=line["mean"].where(line["count"] >= FEW))  # a line through few would mislead
        style.line(axis, line["similarity"], enough, name, look)
        few = line[line["count"] < FEW]
        axis.plot(few["similarity"], few["mean"], markersize=3, alpha=0.6, **{**look, "linestyle": ""})
        axis.errorbar(line["similarity"], line["mean"], style.errors(line), fmt="none", ecolor=look["color"],
                      elinewidth=0.6)  # fmt: skip
    for similarity in rows.loc[rows["count"] < FEW, "similarity"].unique():
        axis.axvspan(similarity - 0.02, similarity + 0.02, color="0.92", zorder=0, linewidth=0)

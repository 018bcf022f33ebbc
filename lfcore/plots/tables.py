"""The tables that people read, made of the summary over seeds."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from lfcore.core import records

INDEX = ["forget_set", "network", "unlearner"]


PAPER = {
    "UA": ("", "forget", "accuracy", "all"),
    "RA": ("", "retain", "accuracy", "all"),
    "TA": ("", "test", "accuracy", "all"),
    "MIA": ("", "forget", "membership", "all"),
    "gap": ("retrained_mean", "all", "average_gap", "all"),
    "gap per seed": ("retrained", "all", "average_gap", "all"),
    "gap without MIA": ("retrained_mean", "all", "average_gap_without_mia", "all"),
    "RA_aff": ("", "retain", "accuracy", "class"),
    "UA_aff": ("", "forget", "accuracy", "class"),
    "TA_aff": ("", "test", "accuracy", "class"),
    "TA_other": ("", "test", "accuracy", "range"),
    "gap_aff": ("retrained_mean", "all", "affected_gap", "all"),
}
"""The columns of the paper's Tables 1 and 2: (reference, split, metric, scope); of the scope "class", the affected.

TA_other is ours: test accuracy without the affected class. A random forget set has no number about classes.

"gap" is the paper's, of the seeds' mean; "gap per seed" is averaged over seeds and charges a method for its spread.
"""


def affected_classes(folder: str | Path, forget_sets: Iterable[str]) -> dict[str, str]:
    """The affected class of each forget set, from the index files in `folder`; "" for a random set, which has none."""
    found = {name: records.read(Path(folder) / f"{name}.json")["affected"] for name in forget_sets}
    return {name: "" if affected is None else str(affected) for name, affected in found.items()}


def columns(summary: pd.DataFrame, data: str | Path) -> pd.DataFrame:
    """The rows of `summary` that are the columns of the paper's Tables 1 and 2, under the name `measure`.

    data: the folder of the forget sets' index files.
    """
    classes = affected_classes(data, summary["forget_set"].unique())
    parts = []
    for name, (reference, split, metric, scope) in PAPER.items():
        part = summary[(summary["reference"] == reference) & (summary["split"] == split)]
        part = part[(part["metric"] == metric) & (part["scope"] == scope)]
        if scope == "class":
            part = part[part["key"] == part["forget_set"].map(classes)]
        parts.append(part.assign(measure=name))
    return pd.concat(parts, ignore_index=True)


def paper_tables(summary: pd.DataFrame, data: str | Path) -> pd.DataFrame:
    """The columns of the paper's Tables 1 and 2, a row for each forget set, network and unlearner: "mean ± sd"."""
    rows = columns(summary, data)
    rows["text"] = [f"{mean:.1f} ± {sd:.1f}" for mean, sd in zip(rows["mean"], rows["sd"], strict=True)]
    table = rows.pivot_table(index=INDEX, columns="measure", values="text", aggfunc="first")
    return table.reindex(columns=list(PAPER)).fillna("").rename_axis(columns=None)


def affected(summary: pd.DataFrame, data: str | Path) -> pd.DataFrame:
    """RA_aff, UA_aff and TA_aff of every unlearner less the mean of the reference retrained models, with intervals.

    The intervals are those of the unlearner's seeds; the reference models' own spread is the row `retrained`.
    """
    gaps = columns(summary, data)
    gaps = gaps[gaps["measure"].isin(["RA_aff", "UA_aff", "TA_aff"])]
    target = summary[summary["metric"] == "reference_accuracy"].set_index(["forget_set", "network", "split", "key"])
    shift = target["mean"].groupby(level=[0, 1, 2, 3]).first()
    places = pd.MultiIndex.from_frame(gaps[["forget_set", "network", "split", "key"]])
    for column in ("mean", "low", "high"):
        gaps[column] -= shift.reindex(places).to_numpy()
    return gaps


def locality_rows(summary: pd.DataFrame, split: str = "test") -> pd.DataFrame:
    """Total variation on a split in the affected class, in the nearest fifth of the others and their farthest half.

    The column `measure` says which: of pairs of models, its excess over the floor, or of mean predictions.
    """
    rows = summary[(summary["split"] == split) & (summary["scope"] == "range")]
    rows = rows[rows["key"].isin(["affected/whole", "other/near", "other/far"])]
    kind = (rows["metric"] + " " + rows["reference"]).map(
        {
            "total_variation retrained": "",
            "total_variation_excess retrained": "excess, ",
            "total_variation retrained_mean": "mean predictions, ",
        }
    )
    return rows.assign(measure=kind + rows["key"])[kind.notna()]


def locality(summary: pd.DataFrame) -> pd.DataFrame:
    """`locality_rows` to read: "mean [low, high]", a row for each forget set, network and unlearner."""
    rows = locality_rows(summary)
    ends = zip(rows["mean"], rows["low"], rows["high"], strict=True)
    rows = rows.assign(text=[f"{mean:.3f} [{low:.3f}, {high:.3f}]" for mean, low, high in ends])
    table = rows.pivot_table(index=INDEX, columns="measure", values="text", aggfunc="first")
    return table.fillna("").rename_axis(columns=None)


def by_bin(curves: pd.DataFrame) -> pd.DataFrame:
    """Total variation in each bin of the test examples, a row for each forget set and unlearner, below the counts."""
    rows = curves[(curves["metric"] == "total_variation") & (curves["split"] == "test")]
    table = rows.pivot_table(index=["forget_set", "unlearner"], columns="bin", values="mean")
    counts = rows.drop_duplicates(["forget_set", "bin"]).assign(unlearner="(examples)")
    counts = counts.pivot_table(index=["forget_set", "unlearner"], columns="bin", values="count")
    return show(pd.concat([counts, table]).sort_index(), digits=3)


def show(table: pd.DataFrame, digits: int = 1) -> pd.DataFrame:
    """A small table for the end of a notebook, rounded."""
    return table.round(digits)

"""The tables that people read, made of the summary over seeds."""

import pandas as pd

from lfcore.core.tables import where

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


def columns(summary: pd.DataFrame) -> pd.DataFrame:
    """The rows of `summary` that are the columns of the paper's Tables 1 and 2, under the name `measure`."""
    parts = []
    for name, (reference, split, metric, scope) in PAPER.items():
        part = where(summary, reference=reference, split=split, metric=metric, scope=scope)
        parts.append((part[part["key"] == part["affected"]] if scope == "class" else part).assign(measure=name))
    return pd.concat(parts, ignore_index=True)


def paper_tables(summary: pd.DataFrame) -> pd.DataFrame:
    """The columns of the paper's Tables 1 and 2, a row for each forget set, network and unlearner: "mean ± sd"."""
    rows = columns(summary)
    rows["text"] = [f"{mean:.1f} ± {sd:.1f}" for mean, sd in zip(rows["mean"], rows["sd"], strict=True)]
    table = rows.pivot_table(index=INDEX, columns="measure", values="text", aggfunc="first")
    return table.reindex(columns=list(PAPER)).fillna("").rename_axis(columns=None)


def locality_rows(summary: pd.DataFrame, split: str = "test") -> pd.DataFrame:
    """Total variation on a split in the affected class, in the nearest fifth of the others and their farthest half.

    The column `measure` says which: of pairs of models, its excess over the floor, or of mean predictions.
    """
    rows = where(summary, split=split, scope="range")
    rows = rows[rows["key"].isin(["affected/whole", "other/near", "other/far"])]
    names = {
        "total_variation retrained": "",
        "total_variation_excess retrained": "excess, ",
        "total_variation retrained_mean": "mean predictions, ",
    }
    kind = (rows["metric"] + " " + rows["reference"]).map(names)
    return rows.assign(measure=kind + rows["key"])[kind.notna()]


def locality(summary: pd.DataFrame) -> pd.DataFrame:
    """`locality_rows` to read: "mean [low, high]", a row for each forget set, network and unlearner."""
    return intervals(locality_rows(summary), INDEX, "measure", digits=3)


def by_bin(curves: pd.DataFrame) -> pd.DataFrame:
    """Total variation in each bin of the test examples, a row for each forget set and unlearner, below the counts."""
    rows = where(curves, metric="total_variation", split="test")
    table = rows.pivot_table(index=["forget_set", "unlearner"], columns="bin", values="mean")
    counts = rows.drop_duplicates(["forget_set", "bin"]).assign(unlearner="(examples)")
    counts = counts.pivot_table(index=["forget_set", "unlearner"], columns="bin", values="count")
    return pd.concat([counts, table]).sort_index().round(3)


def rename_interval(rows: pd.DataFrame, index: list[str], number: str) -> pd.DataFrame:
    """The columns mean, low and high as `number`, `number`_low and `number`_high, with the index `index`."""
    named = [number, f"{number}_low", f"{number}_high"]
    return rows.set_index(index)[["mean", "low", "high"]].set_axis(named, axis=1)


def intervals(rows: pd.DataFrame, index: list[str], columns: str | list[str], digits: int = 2, **pivot) -> pd.DataFrame:
    """`rows` to read: "mean [low, high]", or the mean alone where there is no interval. pivot: options of pandas'."""
    text = [
        f"{mean:.{digits}f}" if low != low else f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"
        for mean, low, high in zip(rows["mean"], rows["low"], rows["high"], strict=True)
    ]
    wide = rows.assign(text=text).pivot_table(index=index, columns=columns, values="text", aggfunc="first", **pivot)
    return wide.fillna("").rename_axis(columns=[None] * wide.columns.nlevels)

"""An array of experiments as a table: means by seed, read file by file from the examples, and their excess."""

from pathlib import Path

import pandas as pd

from lfcore import examples, records
from lfcore.errors import Damaged, InputError
from lfcore.summary import show as rounded
from lfcore.summary import welch

FLOOR = "retrained"
PLACES = {
    ("affected", "whole"): "the class itself",
    ("other", "near"): "others, nearest",
    ("other", "far"): "others, farthest",
}
"""What a figure tells apart, by (classes, place), and what it calls it: the nearest fifth and the farthest half."""
PLACE = ["unlearner", "affected", "fraction", "place"]


def read(
    folder: str | Path,
    network: str,
    forget_sets: list[str],
    unlearners: list[str],
    measure: str,
    *,
    split: str = "test",
    memory: str = "1GiB",
    threads: int = 1,
) -> pd.DataFrame:
    """Means over examples of `measure`, a column of `lfcore.examples`, for each model.

    A row for each forget set, unlearner, seed, class and place, "whole" among them, with the columns value and count.
    Rows of examples are streamed from `folder`: at no time are more of them in memory than `memory` holds. Every file
    is checked against its hash. Raises InputError if one is missing or has no such column.
    """
    paths = [examples.file(folder, network, place, name) for place in forget_sets for name in unlearners]
    for path in paths:
        records.check(path)
    import duckdb

    quoted = '"' + measure.replace('"', '""') + '"'
    # the names of forget sets are text: DuckDB would read 4_50 as the number 450
    query = f"""
        SELECT forget_set, unlearner, seed, classes, coalesce(place, 'whole') AS place,
               avg({quoted}::DOUBLE) AS value, count(*) AS count
        FROM read_parquet(?, hive_partitioning = true, hive_types_autocast = false)
        WHERE split = ?
        GROUP BY GROUPING SETS ((forget_set, unlearner, seed, classes, place), (forget_set, unlearner, seed, classes))
        ORDER BY ALL
    """
    try:
        with examples.connect(memory=memory, threads=threads) as database:
            return database.execute(query, [[str(path) for path in paths], split]).df()
    except duckdb.BinderException:
        raise InputError(f"The examples in {folder} have no column {measure!r}: choose another measure.") from None
    except duckdb.Error as error:
        reason = str(error).splitlines()[0]
        raise Damaged(f"{folder} holds what is no table of examples ({reason}): delete it and run again.") from None


def excess(means: pd.DataFrame, forget_sets: dict[str, dict]) -> pd.DataFrame:
    """How far each unlearner's mean over seeds is above the floor's, with Welch's 95 % interval, in points.

    means: from `read`, the floor among its unlearners. forget_sets: the affected class and fraction of each. A row for
    each unlearner, affected class, fraction and place of PLACES; `n` seeds.
    """
    named = pd.Series(list(zip(means["classes"], means["place"], strict=True))).map(PLACES)
    rows = means.assign(place=pd.Categorical(named, list(PLACES.values())), value=100 * means["value"])
    for column in ("affected", "fraction"):
        rows[column] = rows["forget_set"].map({name: given.get(column) for name, given in forget_sets.items()})
    groups = rows.groupby(PLACE, observed=True)["value"]
    numbers = groups.agg(mean="mean", sd="std", n="size").reset_index()
    floor = numbers[numbers["unlearner"] == FLOOR].drop(columns="unlearner")
    if floor.empty:
        raise InputError("An excess is over the retrained models of the floor: put retrained among the unlearners.")
    pairs = numbers[numbers["unlearner"] != FLOOR].merge(floor, on=PLACE[1:], suffixes=("", "_floor"))
    result = pairs[[*PLACE, "n"]].copy()
    columns = [pairs[name] for name in ("mean", "sd", "n", "mean_floor", "sd_floor", "n_floor")]
    result["mean"], result["sd"], result["low"], result["high"] = welch(*columns)
    return result


def over_classes(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over the affected classes, to read; `beyond`: the percentage of cells whose interval excludes zero.

    rows: from `excess`.
    """
    rows = rows.assign(beyond=(rows["low"] > 0) | (rows["high"] < 0))
    by = ["place", "unlearner"]
    means = rows.pivot_table(index=by, columns="fraction", values="mean", observed=True)
    means.columns = [f"{100 * fraction:g}%" for fraction in means.columns]
    return rounded(means.assign(beyond=rows.groupby(by, observed=True)["beyond"].mean() * 100))

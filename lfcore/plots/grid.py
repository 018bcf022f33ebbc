"""The figure of an array of experiments: a cell for each affected class and fraction."""

from pathlib import Path

import numpy as np
import pandas as pd

from lfcore.core import layout, parquet, records
from lfcore.core.errors import Damaged, InputError
from lfcore.core.tables import where
from lfcore.plots import style
from lfcore.statistics.summary import above_floor, over_seeds

LABELS = {
    "total_variation": "total variation to retraining, less the floor's (points)",
    "confidence_gap": "confidence in the true class destroyed, less the floor's (points)",
    "accuracy_gap": "accuracy destroyed, less the floor's (points)",
    "flip": "choices unlike retraining's, less the floor's (points)",
}
PLACES = {
    ("affected", "whole"): "the class itself",
    ("other", "near"): "others, nearest",
    ("other", "far"): "others, farthest",
}
"""What a figure tells apart, by (classes, place), and what it calls it: the nearest fifth and the farthest half."""


def heat(rows: pd.DataFrame, unlearners: list[str], measure: str):
    """A figure with a column of panels for each unlearner and a row for each place.

    The affected class has colours of its own, since it changes most; near and far share theirs. rows: from
    `excess`. The number in a cell is the mean over seeds; where its 95 % interval holds zero, or one
    seed leaves none, it stands in brackets.
    """
    shown = style.present(unlearners, rows)
    rows = rows[rows["unlearner"].isin(shown)]
    classes, fractions = sorted(rows["affected"].unique()), sorted(rows["fraction"].unique())
    size = (1.6 + max(1.2, 0.32 * len(fractions)) * len(shown), 0.8 + max(1.2, 0.2 * len(classes)) * len(PLACES))
    figure, axes = style.panels(len(PLACES), len(shown), size, sharex=True, sharey=True)
    places = list(PLACES.values())
    for lines in ([0], [1, 2]):
        limit = float(rows.loc[rows["place"].isin([places[line] for line in lines]), "mean"].abs().max()) or 1.0
        for line in lines:
            for axis, name in zip(axes[line], shown, strict=True):
                image = _draw(axis, where(rows, place=places[line], unlearner=name), classes, fractions, limit)
            axes[line, 0].set_ylabel(places[line], fontsize=8)
        bar = figure.colorbar(image, ax=axes[lines], aspect=10 * len(lines), pad=0.01)
        bar.ax.tick_params(labelsize=7)
    for axis, name in zip(axes[0], shown, strict=True):
        axis.set_title(name, fontsize=7)
    figure.suptitle(LABELS.get(measure, measure), fontsize=9)
    figure.supxlabel("forgotten share of the affected class (percent)", fontsize=9)
    figure.supylabel("affected class", fontsize=9)
    return figure


def _draw(axis, part: pd.DataFrame, classes: list, fractions: list, limit: float):
    means, low, high = (
        part.pivot(index="affected", columns="fraction", values=value).reindex(index=classes, columns=fractions)
        for value in ("mean", "low", "high")
    )
    image = axis.imshow(means, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    certain = (low > 0) | (high < 0)
    for (line, column), value in np.ndenumerate(means.to_numpy()):
        if np.isfinite(value):
            text = f"{value:.0f}".replace("-0", "0")
            text = text if certain.iat[line, column] else f"({text})"
            dark = abs(value) > 0.6 * limit
            axis.text(column, line, text, ha="center", va="center", fontsize=6, color="white" if dark else "black")
    axis.set_xticks(range(len(fractions)), [f"{100 * fraction:g}" for fraction in fractions], fontsize=7)
    axis.set_yticks(range(len(classes)), classes, fontsize=7)
    axis.grid(visible=False)
    return image


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
    """Means over examples of `measure`, a column of `lfcore.stages.per_example`, for each model.

    A row for each forget set, unlearner, seed, class and place, "whole" among them, with the columns value and count.
    Rows of examples are streamed from `folder`: at no time are more of them in memory than `memory` holds. Every file
    is checked against its hash. Raises InputError if one is missing or has no such column.
    """
    paths = [layout.examples(folder, network, place, name) for place in forget_sets for name in unlearners]
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
        with parquet.connect(memory=memory, threads=threads) as database:
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
    by = ["affected", "fraction", "place"]
    numbers = over_seeds(rows, ["unlearner", *by], observed=True)
    if style.FLOOR not in set(numbers["unlearner"]):
        raise InputError("An excess is over the retrained models of the floor: put retrained among the unlearners.")
    return above_floor(numbers, by)


def over_classes(rows: pd.DataFrame) -> pd.DataFrame:
    """Means over the affected classes, to read; `beyond`: the percentage of cells whose interval excludes zero.

    rows: from `excess`.
    """
    rows = rows.assign(beyond=(rows["low"] > 0) | (rows["high"] < 0))
    by = ["place", "unlearner"]
    means = rows.pivot_table(index=by, columns="fraction", values="mean", observed=True)
    means.columns = [f"{100 * fraction:g}%" for fraction in means.columns]
    return means.assign(beyond=rows.groupby(by, observed=True)["beyond"].mean() * 100).round(1)

"""The one tidy table: a row a number, as CSV whose equal numbers are equal bytes."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from lfcore.core import records
from lfcore.core.paths import atomic

COLUMNS = ["forget_set", "network", "unlearner", "seed", "reference", "split", "metric", "scope", "key", "value"]
GROUP = [column for column in COLUMNS if column not in ("seed", "value")]
"""What a number is about; its seeds are averaged over."""
PLACE = GROUP[3:]
"""Where in the table a number stands, whatever it was measured of."""
FLOOR = "retrained"
"""The unlearner whose rows are the noise floor."""
NUMBERS = ["p", "p_holm", "own_low", "own_high", "UA", "RA", "TA", "RA_aff", "TA_aff", "average_gap", "affected_gap"]
NUMBERS += ["gap", "seconds", "cpu_seconds", "steps", "steps_aside", "peak_mb", "memory_mb"]
NUMBERS += ["blocks", "agree", "holds", "opposite", "power"]
NUMBERS += ["value", "mean", "sd", "low", "high", "n", "tolerance"]


def tidy(rows: Iterable, *, forget_set: str, network: str, unlearner: str) -> pd.DataFrame:
    """Measured rows as a table with the columns COLUMNS."""
    table = pd.DataFrame(rows, columns=COLUMNS[3:])
    for position, (name, value) in enumerate(
        {"forget_set": forget_set, "network": network, "unlearner": unlearner}.items()
    ):
        table.insert(position, name, value)
    return table.astype({"value": float})


def where(table: pd.DataFrame, **values) -> pd.DataFrame:
    """The rows that have these values in the columns of these names."""
    for column, value in values.items():
        table = table[table[column] == value]
    return table


def write(table: pd.DataFrame, path: str | Path, *, seal: bool = True) -> None:
    """Write a table as CSV, with ten significant digits, so that equal numbers are equal bytes.

    seal: whether its hash goes beside it.
    """
    with atomic(path) as partial:
        table.to_csv(partial, index=False, float_format="%.10g", lineterminator="\n")
        if seal:
            records.seal(path, partial)


def read(path: str | Path) -> pd.DataFrame:
    """Read a table, checked against its hash; an empty text cell stays empty text, and an empty number is NaN."""
    records.check(path)
    types, missing = dict.fromkeys([*GROUP, "seed", "affected", "id"], str), {name: [""] for name in NUMBERS}
    with records.reading(path, ValueError, OverflowError, what="not a table"):
        table = pd.read_csv(path, dtype=types, keep_default_na=False, na_values=missing)
    for name in table.columns.intersection(NUMBERS):
        if table.empty:
            table[name] = table[name].astype(float)  # or a table without rows makes text of the numbers below it
        elif not pd.api.types.is_numeric_dtype(table[name]):
            raise records.damaged(path, f"damaged (text in the column {name})")
    return table


def write_arrays(arrays: dict[str, np.ndarray], path: str | Path) -> None:
    """Write arrays by name as npz, their hash beside it."""
    with atomic(path) as partial:
        with partial.open("wb") as file:
            np.savez(file, **arrays)
        records.seal(path, partial)


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Read what `write_arrays` wrote, checked against its hash; never an object, which would be a pickle."""
    records.check(path)
    # zipfile, zlib, struct and numpy have one error each for the same thing
    with records.reading(path, Exception), Path(path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}

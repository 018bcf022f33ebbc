"""Parquet files written and read through DuckDB."""

from pathlib import Path
from tempfile import gettempdir


def connect(*, memory: str = "1GiB", threads: int = 1):
    """A DuckDB that keeps within `memory` and spills to the temporary folder beyond it.

    One thread sums in one order, so equal rows are equal sums to the last bit.
    """
    import duckdb

    database = duckdb.connect(config={"memory_limit": memory, "threads": threads, "temp_directory": gettempdir()})
    database.execute("SET enable_progress_bar = false")  # a page has no use for one
    return database


def file(folder: str | Path, network: str, forget_set: str, unlearner: str) -> Path:
    """Where the rows of one unlearner on one forget set lie."""
    return Path(folder, f"network={network}", f"forget_set={forget_set}", f"unlearner={unlearner}", "part.parquet")

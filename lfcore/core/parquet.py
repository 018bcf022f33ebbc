"""Parquet files written and read through DuckDB."""

from tempfile import gettempdir


def connect(*, memory: str = "1GiB", threads: int = 1):
    """A DuckDB that keeps within `memory` and spills to the temporary folder beyond it.

    One thread sums in one order, so equal rows are equal sums to the last bit.
    """
    import duckdb

    database = duckdb.connect(config={"memory_limit": memory, "threads": threads, "temp_directory": gettempdir()})
    database.execute("SET enable_progress_bar = false")  # a page has no use for one
    return database

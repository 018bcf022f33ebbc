"""What tables of Markdown are made of."""

from collections.abc import Iterable

import pandas as pd

from lfcore.core import tables
from lfcore.core.paths import ROOT


def published(name: str) -> pd.DataFrame:
    """The published table of this name. Raises FileNotFoundError if there is none."""
    if not (ROOT / "tests" / "expected" / f"{name}.csv").is_file():
        raise FileNotFoundError(name)
    return tables.read(ROOT / "tests" / "expected" / f"{name}.csv")


def table(head: list[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def told_rows(rows: pd.DataFrame, text: str) -> list[str]:
    """`text` filled with each row's values, by the names of its columns."""
    return [text.format(**row) for row in rows.to_dict("records")]

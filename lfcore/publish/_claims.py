"""The tables of claims, as Markdown."""

import numpy as np

from lfcore.publish import _cells


def claims_table(name: str) -> str:
    """What the papers claim and what a published run says of it, as Markdown: its primary claims, or all if none is."""
    table = _cells.published(f"{name}_claims")
    if "id" in table and (table["id"] != "").any():
        table = table[table["id"] != ""]
    forget_sets, lines = list(table["forget_set"].unique()), []
    for (text, statistic, *_), rows in table.groupby(["claim", "statistic", "more", "less"], sort=False):
        told = _cells.told_rows(rows, "**{verdict}** {mean:.3g} [{low:.2g}, {high:.2g}]")
        cells = dict(zip(rows["forget_set"], told, strict=True))
        lines.append([text, statistic, *(cells.get(each, "") for each in forget_sets)])
    return _cells.table(["claim", "by", *forget_sets], lines)


def exploratory_table(name: str) -> str:
    """The claims of a run that are not primary: number and interval, without a verdict."""
    table = _cells.published(f"{name}_claims")
    table = table[table["id"] == ""]
    told = ["{claim}", "{statistic}", "{forget_set}", "{mean:.3g} [{low:.2g}, {high:.2g}]"]
    columns = [_cells.told_rows(table, text) for text in told]
    return _cells.table(["claim", "by", "forget set", "difference"], zip(*columns, strict=True))


def primary_table(name: str) -> str:
    """Every primary claim: its verdict, number and interval, in how many blocks it came out so, and their power."""
    table = _cells.published(f"{name}_primary")
    lines = []
    for row in table.itertuples():
        number = f"{row.mean:.3g} [{row.low:.2g}, {row.high:.2g}]"
        again = "" if np.isnan(row.blocks) else f"{row.agree:.0f} of {row.blocks:.0f}"
        alone = "" if np.isnan(row.blocks) else f"{row.holds:.0f}, {row.opposite:.0f}"
        power = "" if np.isnan(row.power) else f"{row.power:.2f}"
        lines.append([row.id, row.claim, row.forget_set, f"**{row.verdict}**", number, again, alone, power])
    head = [
        "claim",
        "what the paper says",
        "of",
        "verdict",
        "difference",
        "same sign",
        "alone: holds, opposite",
        "power",
    ]
    return _cells.table(head, lines)

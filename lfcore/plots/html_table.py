"""A small table at the end of a notebook, without importing pandas, which costs a job more than its table is worth."""

from html import escape


class Table:
    """Records (dicts with the same keys) that Jupyter shows as a table; numbers are rounded to one decimal."""

    def __init__(self, records: list[dict]):
        self.rows = [[*records[0]]] if records else []
        self.rows += [[f"{v:.1f}" if isinstance(v, float) else str(v) for v in record.values()] for record in records]

    def __repr__(self) -> str:
        return "\n".join("  ".join(f"{cell:>8}" for cell in row) for row in self.rows)

    def _repr_html_(self) -> str:
        tags = ["th", *["td"] * len(self.rows)]
        tagged = zip(tags, self.rows, strict=False)
        rows = ["".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row) for tag, row in tagged]
        return "<table>" + "".join(f"<tr>{row}</tr>" for row in rows) + "</table>"

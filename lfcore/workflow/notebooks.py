"""Notebooks as the workflow runs them: their parameters, and whether a conversion is intact."""

import ast
import json
import re
from pathlib import Path

import yaml

from lfcore.core.layout import Layout, glob
from lfcore.core.paths import ROOT


def check_notebooks(layout: Layout) -> list[str]:
    """Delete converted notebooks that are not what their sources say, so that they are made again; return their paths.

    They are what jobs run, and Snakemake looks at a file's time alone. While a workflow runs here, none is looked at.
    """
    if any(ROOT.glob(".snakemake/locks/*")):
        return []
    deleted = []
    for path in sorted(ROOT.glob(glob(layout.notebook))):
        source = ROOT / "notebooks" / f"{path.stem}.py"
        newer = source.is_file() and source.stat().st_mtime > path.stat().st_mtime  # then it is made again anyway
        if source.is_file() and not newer and not _is_converted(path, source.read_text()):
            path.unlink()
            deleted.append(str(path.relative_to(ROOT)))
    return deleted


def _is_converted(path: Path, source: str) -> bool:
    """Whether the notebook at `path` has the code of `source`, cell by cell, and can be run."""
    try:
        notebook = json.loads(path.read_text())
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        others = {"".join(cell["cell_type"]) for cell in notebook["cells"]} - {"code", "markdown"}
        keys = {frozenset(cell) for cell in cells} - {frozenset({"cell_type", "id", "metadata", "source", *RUN})}
        form = [set(notebook), notebook["nbformat"], notebook["metadata"]["kernelspec"]["name"]]
        marks = [mark for cell in cells if (mark := cell["metadata"].get("tags"))]
        code = ["".join(cell["source"]) for cell in cells]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    parts = re.split(r"^# %%", source, flags=re.MULTILINE)[1:]
    same = [part.partition("\n")[2].strip() for part in parts if not part.startswith(" [markdown]")] == code
    known = form == [{"cells", "metadata", "nbformat", "nbformat_minor"}, 4, "python3"] and not keys | others
    return same and known and marks == [["parameters"]]


RUN = ("execution_count", "outputs")
"""What a code cell has beside what any cell has."""


def parameters_cell(notebook: str) -> str:
    """The source of a notebook's parameters cell, which papermill replaces."""
    return (ROOT / notebook).read_text().split('# %% tags=["parameters"]')[1].split("\n# %%")[0]


def parameters(notebook: str) -> list[str]:
    """The names in a notebook's parameters cell."""
    return [node.target.id for node in ast.parse(parameters_cell(notebook)).body if isinstance(node, ast.AnnAssign)]


def to_yaml(**parameters) -> str:
    """Parameters for papermill's -y, on one line. Not JSON: YAML 1.1 would read its 1e-06 as text."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the same text, ten times as fast
    return yaml.dump(parameters, Dumper=dumper, default_flow_style=True, sort_keys=False, width=2**31 - 1).strip()

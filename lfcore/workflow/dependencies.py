"""Which files of lfcore a notebook or a method depends on."""

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from lfcore.core.paths import ROOT

PROBES = ("lfcore/probes", "lfcore/attacks")
"""The folders of probes."""


def method(name: str, options: dict | None = None) -> str:
    """The path of an unlearner's file: the one its options name, or that of its method in the package."""
    return (options or {}).get("file") or f"lfcore/unlearners/{name.split('-')[0]}.py"


def plugin_files(wing: str, names: Iterable[str]) -> list[str]:
    """The files in lfcore/<wing> of these plug-ins, or of what they are variants of."""
    return [f"lfcore/{wing}/{name.split('-')[0]}.py" for name in names]


def probe_file(probe: str) -> str:
    """The file of `probe`, in one of the folders PROBES."""
    return next(f"{folder}/{probe}.py" for folder in PROBES if (ROOT / folder / f"{probe}.py").is_file())


def sources(*paths: str) -> list[str]:
    """These files' own lfcore files: every module of lfcore they import, and those that these import, sorted.

    A rule names them as inputs, because Snakemake looks at a notebook and never at what it imports.
    """
    found, waiting = set(), [ROOT / path for path in paths]
    while waiting:
        path = waiting.pop()
        for module in _imports(path):
            file = (ROOT / module.replace(".", "/")).with_suffix(".py")
            if file.is_file() and file not in found:
                found.add(file)
                waiting.append(file)
    return sorted(str(file.relative_to(ROOT)) for file in found)


@cache  # thousands of jobs ask the same few questions
def library(notebook: str, *more: str) -> list[str]:
    """The files of lfcore that a notebook, by its stem, depends on; `more` files, and what they depend on."""
    return [*more, *sources(f"notebooks/{notebook}.py", *more)]


@cache
def _imports(path: Path) -> list[str]:
    """The modules that a file imports, and those that names imported from a module might be; parsed once a run."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found

"""Where the project lies, and writing files so that a reader never meets half of one."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

_HOME = Path(__file__).resolve().parents[2]
ROOT = _HOME if (_HOME / "Snakefile").is_file() else Path.cwd()
"""The project's folder: notebooks open ``ROOT / path``, because papermill and Jupyter start in different folders."""


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; it takes the name `path` only if the block ends without an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def sha256(path: str | Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def existing(path: Path) -> Path:
    """This path, or the nearest folder above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())

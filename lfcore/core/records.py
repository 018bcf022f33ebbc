"""What was written is what is read: hashes recorded with every file that a stage leaves, and checked by its readers.

A JSON record holds the hash of its own content under `seal`. Any other file has its hash beside it, in a file of the
same name and `.sha256`, as `sha256sum --check` reads it; weights and predictions have theirs in the sidecar, and a data
set in its header. A file that nobody recorded a hash of, such as one that a person brings, is read without one.

python -m lfcore.core.records FILE     record the hash of a file that another program wrote
"""

import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lfcore.core.errors import Damaged, InputError
from lfcore.core.paths import atomic, sha256


def write(path: str | Path, record: dict) -> None:
    """Write a record as JSON, with its seal."""
    record = json.loads(json.dumps(record))  # as it will be read
    with atomic(path) as partial:
        partial.write_text(json.dumps({**record, "seal": _hash(record)}, indent=1) + "\n")


def read(path: str | Path) -> dict:
    """Read a JSON record and check it against its seal, if it has one; raises InputError."""
    with reading(path, ValueError, RecursionError, what="not JSON"):
        record = json.loads(Path(path).read_text())
        if not isinstance(record, dict):
            raise damaged(path, f"not a record but a {type(record).__name__}")
        recorded = record.pop("seal", None)
        if recorded not in (None, _hash(record)):
            raise changed(path)
    return record


def _hash(record: dict) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()


def seal(path: str | Path, content: str | Path | None = None) -> None:
    """Record the hash of the file `path` beside it. content: the file to hash, if it is not there yet."""
    path = Path(path)
    with atomic(f"{path}.sha256") as partial:
        partial.write_text(f"{sha256(content or path)}  {path.name}\n")


def check(path: str | Path) -> None:
    """Raise InputError if the file is missing, or not the one whose hash lies beside it."""
    beside = Path(f"{path}.sha256")
    with reading(path):
        found = sha256(path)
        if beside.exists() and beside.read_text(errors="replace").split()[:1] != [found]:
            raise changed(path)


@contextmanager
def reading(path: str | Path, *damage: type[Exception], what: str = "damaged") -> Iterator[None]:
    """Make InputError of a file that can't be read within the block, and Damaged of the errors `damage`.

    what: what the file then is, as the sentence says it.
    """
    try:
        yield
    except Damaged:
        raise
    except damage as error:
        raise damaged(path, f"{what} ({error})") from None
    except FileNotFoundError:
        raise InputError(f"{path} is missing: run snakemake --cores 4 once to make it.") from None
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{path} can't be read ({reason}): look at its disk and permissions.") from None


def damaged(path: str | Path, what: str) -> Damaged:
    """The error for a file that is not what a stage wrote, but `what`."""
    return Damaged(f"{path} is {what}: delete it and run the same command again.")


def changed(path: str | Path) -> Damaged:
    """The error for a file whose hash is not the recorded one."""
    return damaged(path, "not what was written (its hash differs)")


if __name__ == "__main__":
    seal(sys.argv[1])

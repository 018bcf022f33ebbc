"""What was written is what is read: hashes recorded with every file that a stage leaves, and checked by its readers.

A JSON record holds the hash of its own content under `seal`. Any other file has its hash beside it, in a file of the
same name and `.sha256`, as `sha256sum --check` reads it; weights and predictions have theirs in the sidecar, and a data
set in its header. A file that nobody recorded a hash of, such as one that a person brings, is read without one.

python -m lfcore.core.records FILE     record the hash of a file that another program wrote
"""

import hashlib
import json
import sys
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
    try:
        record = json.loads(Path(path).read_text())
        recorded = record.pop("seal", None) if isinstance(record, dict) else None
        intact = recorded in (None, _hash(record))
    except OSError as error:
        raise unreadable(path, error) from None
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{path} is not JSON ({error}): delete it and run the same command again.") from None
    if not isinstance(record, dict):
        raise Damaged(
            f"{path} is not a record but a {type(record).__name__}: delete it and run the same command again."
        )
    if not intact:
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
    try:
        found = sha256(path)
        recorded = Path(f"{path}.sha256").read_text(errors="replace").split()
    except OSError as error:
        if Path(path).is_file() and isinstance(error, FileNotFoundError):
            return  # no hash beside it
        raise unreadable(path, error) from None
    if recorded[:1] != [found]:
        raise changed(path)


def changed(path: str | Path) -> Damaged:
    """The error for a file whose hash is not the recorded one."""
    return Damaged(f"{path} is not what was written (its hash differs): delete it and run the same command again.")


def unreadable(path: str | Path, error: OSError) -> InputError:
    """The error for a file that is missing, a folder, or not ours to read."""
    if isinstance(error, FileNotFoundError):
        return InputError(f"{path} is missing: run snakemake --cores 4 once to make it.")
    return InputError(f"{path} can't be read ({error.strerror or error}): look at its disk and permissions.")


if __name__ == "__main__":
    seal(sys.argv[1])

"""What a run of the workflow meets on disk: folders, records and locks; its seeds cut into jobs; what it says last."""

import atexit
import base64
import os
import re
import shutil
import sys
from pathlib import Path

from lfcore.core.errors import InputError
from lfcore.core.layout import Layout, glob, job
from lfcore.core.paths import ROOT, existing


def check_writable(*folders: str) -> None:
    """Raise InputError if one of these folders of the project, or the one that would hold it, can't be written to."""
    for folder in folders:
        place = existing(ROOT / folder)
        if not os.access(place, os.W_OK):
            raise InputError(f"{place} can't be written to: change its permissions, or run a copy of the project.")


def check_records(layout: Layout) -> str:
    """A sentence about results of which Snakemake has no record, so that it can't see a change of the config; or ""."""
    tables = (layout.probes, layout.experiment)
    summary = layout.table.replace("{table}", "summary")
    kept = [layout.dataset, layout.models, layout.measured, *(f"{path}.csv" for path in tables), layout.trials, summary]
    found = [path for pattern in kept for path in sorted(ROOT.glob(glob(pattern)))]
    names = [str(path.relative_to(ROOT)) for path in found if ".damaged" not in path.name]
    unknown = [name for name in names if not _record(name).is_file()]
    if not unknown:
        return ""
    return (
        f"Caution: {len(unknown)} results, {unknown[0]} the first, are taken as they are, whatever the config says: "
        "Snakemake has no record of making them (.snakemake was deleted, or they were copied here). To make all by "
        f"this config, delete {layout.results}."
    )


def _record(output: str) -> Path:
    """Where Snakemake 9 keeps its record of an output: a long name is cut into folders."""
    name, size = base64.urlsafe_b64encode(output.encode()).decode(), 254
    parts = [name[start : start + size] for start in range(0, len(name), size)]
    return ROOT.joinpath(".snakemake", "metadata", *(f"@{part}" for part in parts[:-1]), parts[-1])


def cut(seeds: list[int], size: int) -> list[str]:
    """The jobs that consecutive seeds are cut into, `size` seeds each or fewer, named first-last."""
    parts = [seeds[start : start + size] for start in range(0, len(seeds), size)]
    return [job(part) for part in parts]


def numbers(job: str) -> list[int]:
    """The seeds of the job called first-last; none if that is no job's name."""
    if not re.fullmatch(r"\d+-\d+", job):
        return []
    first, last = map(int, job.split("-"))
    return list(range(first, last + 1))


_sentences: list[object] = []


def print_at_exit(sentence: object) -> None:
    """Print `sentence` when the process ends, after all that Snakemake prints, in the order of the calls."""
    if not _sentences:
        atexit.register(lambda: print(*_sentences, sep="\n", file=sys.stderr))
    _sentences.append(sentence)


def unlock() -> None:
    """Remove a lock that a killed snakemake left in this folder; exit with a sentence if one still runs here."""
    import psutil

    locks = ROOT / ".snakemake" / "locks"
    if not locks.is_dir() or not any(locks.iterdir()):
        return
    ancestors = {process.pid for process in psutil.Process().parents()} | {os.getpid()}
    for process in psutil.process_iter(["pid", "cwd", "cmdline"]):
        command, place = " ".join(process.info["cmdline"] or []), process.info["cwd"]
        found = re.search(r"\b(snakemake|papermill)\b", command)  # a killed snakemake's jobs live on
        if process.pid in ancestors or not found:
            continue
        if place == str(ROOT):
            sys.exit(f"A {found[1]} already runs in this folder (process {process.pid}): wait for it or stop it.")
        if not place and process.status() != psutil.STATUS_ZOMBIE:
            sys.exit(
                f"This folder is locked, and a {found[1]} of another user may run in it (process {process.pid}): wait "
                "for it, or if it runs elsewhere, remove the lock with snakemake --unlock."
            )
    shutil.rmtree(locks)
    print("Removed the lock of a snakemake that was killed.")


if __name__ == "__main__":
    unlock()

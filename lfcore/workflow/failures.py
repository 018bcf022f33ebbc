"""Why did a run fail, in one sentence; and damaged files out of the way, so that the same command makes them again."""

import contextlib
import json
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from lfcore.core.layout import RESULTS, Layout, glob
from lfcore.core.paths import ROOT, existing
from lfcore.workflow.jobs import numbers


def explain(log: str | Path) -> str:
    """One sentence about the first failed job in a Snakemake log, read from what that job left in its own log."""
    failed = _failed(log)
    if said := _explain_slurm(log):
        return said
    for name in failed:
        error = _first_error(ROOT / name)
        if re.search(r"MemoryError|can.t allocate memory|Cannot allocate memory|CUDA out of memory", error):
            return f"A job ran out of memory (in {name}): {SPARE_MEMORY}"
        if "No space left on device" in error:
            return f"The disk is full (in {name}): free some space and run the same command again."
        if error:
            return f"{error} (in {name})"
    if shutil.disk_usage(existing(ROOT / RESULTS)).free < FULL:
        return "The disk that holds results/ is full: free some space and run the same command again."
    for name in failed:
        if re.search("DeadKernelError|Kernel died", _read(ROOT / f"{name}.log")):
            return f"The process of a job was killed, most likely for want of memory (in {name}): {SPARE_MEMORY}"
    return "A job failed outside its notebook: the .log beside the notebook named above says why."


SPARE_MEMORY = "close other programs or use fewer cores, and run the same command again."
FULL = 2**20
"""A disk with fewer free bytes is full."""


def _failed(log: str | Path) -> list[str]:
    """The logs of the failed jobs in a Snakemake log, executed notebooks or text; none if there is no such log."""
    error = r"^\s*Error in rule .*?^\s*log: (\S+?\.(?:ipynb|log))\b"
    return re.findall(error, _read(log), re.MULTILINE | re.DOTALL)


def _read(log: str | Path) -> str:
    try:
        return Path(log).read_text(errors="replace")
    except OSError:
        return ""


SLURM = {
    "TIMEOUT": ("DUE TO TIME LIMIT", "ran past its time limit: raise its `runtime`, and"),
    "OUT_OF_MEMORY": (
        r"exceeded .*memory limit|oom.kill",
        "used more memory than it asked for: raise its `mem_mb`, and",
    ),
    "NODE_FAIL": ("DUE TO NODE FAILURE", "lost its node, which failed:"),
    "PREEMPTED": ("DUE TO PREEMPTION", "had to make room for another one:"),
    "CANCELLED": (r"\*\*\* JOB \d+ .*CANCELLED", "was cancelled, by a person or by SLURM:"),
}
"""What SLURM ends jobs for: its word for it, what the job's own log then says, and what we say."""


def _explain_slurm(log: str | Path) -> str:
    """One sentence about the last job that SLURM ended and that was not tried again; none if it ended no job."""
    for event in reversed(re.split(r"^(?=\[)", _read(log), flags=re.MULTILINE)):
        found = re.search(r"^\s+log: (?:.*, )?([^,\n]+/slurm_logs/[^\s,]*?(\d+)\.log)", event, re.MULTILINE)
        if "Trying to restart job" in event or not found:
            continue
        file, job = found.groups()
        told = re.search(r"SLURM status is: '(\w+)'", event)  # snakemake loses it where jobs are in a group
        written = _read(file)
        state = next((state for state, (words, _) in SLURM.items() if re.search(words, written)), "")
        state = state or (told[1] if told else _ask_slurm(job))
        if state in SLURM:
            notebooks = list(dict.fromkeys(re.findall(r"^\s+log: (\S+?\.ipynb)", event, re.MULTILINE)))
            more = f" and {len(notebooks) - 1} more" if len(notebooks) > 1 else ""
            where = f"{_begun(notebooks)}{more}" if notebooks else file
            return f"The SLURM job {job} ({where}) {SLURM[state][1]} run the same command again."
    return ""


def _ask_slurm(job: str) -> str:
    """What SLURM says became of a job; nothing where there is no SLURM, or where it has forgotten."""
    accounting = ["sacct", "--allocations", "--noheader", "--parsable2", "--format", "State", "--jobs", job]
    for command in (accounting, ["squeue", "--states", "all", "--noheader", "--format", "%T", "--jobs", job]):
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
            if not done.returncode and done.stdout.strip():
                return done.stdout.split()[0]
    return ""


def _begun(notebooks: list[str]) -> str:
    """The first of these notebooks that papermill began and did not end, or else the first."""
    for name in notebooks:
        with contextlib.suppress(OSError, ValueError, KeyError):
            if not json.loads((ROOT / name).read_text())["metadata"]["papermill"]["end_time"]:
                return name
    return notebooks[0]


def set_aside(log: str | Path) -> str:
    """Move the damaged files that stopped the jobs in a Snakemake log out of the way, and say so in a sentence."""
    return move_aside(_first_error(ROOT / name) for name in _failed(log))


def move_aside(errors: Iterable[str]) -> str:
    """Move what these errors ("<type>: <message>") say is damaged out of the way, and say so in a sentence.

    Only what lies in this project's results/ is moved, to the same name and `.damaged`: a model or a measurement with
    its job's folder, any other file alone. Then the same command makes it again.
    """
    moved = []
    for path in map(_damaged, errors):
        if path is None or not path.is_relative_to(ROOT / RESULTS) or ".." in path.parts:
            continue
        target = path.with_name(f"{path.name}.damaged")
        shutil.rmtree(target, ignore_errors=True)
        target.unlink(missing_ok=True)
        path.rename(target)
        moved.append(str(target.relative_to(ROOT)))
    if not moved:
        return ""
    return f" Moved out of the way, to {', '.join(moved)}: the same command makes it again."


def _damaged(error: str) -> Path | None:
    """What a job's error says is damaged and is there: a file, or the folder of a job's models if one is not whole."""
    if found := re.match(r"InputError: There is no seed(\d+)\.\S+ in (.+): run snakemake", error):
        folders = [Path(each) for each in found[2].split(", ")]
        holds = [folder for folder in folders if int(found[1]) in numbers(folder.name) and folder.is_dir()]
        return next(iter(holds), None)
    kind, _, text = error.partition(": ")
    for end in re.finditer(" is ", text):  # a path may hold the word itself
        path = Path(text[: end.start()])
        if kind == "Damaged" and path.exists():
            folders = [glob(pattern) for pattern in (Layout("*").models, Layout("*").measured)]
            return path.parent if any(path.match(f"{folder}/*") for folder in folders) else path
    return None


def _first_error(log: Path) -> str:
    """The first error in an executed notebook, or the last line of another log; nothing where there is none."""
    text = _read(log)
    if log.suffix != ".ipynb":
        return " ".join(text.strip().splitlines()[-1:])
    try:
        cells = json.loads(text)["cells"]
    except (ValueError, KeyError):
        return ""
    outputs = (output for cell in cells for output in cell.get("outputs", []))
    errors = (f"{o['ename']}: {' '.join(o['evalue'].split())}" for o in outputs if o["output_type"] == "error")
    return next(errors, "")

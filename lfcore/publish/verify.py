"""Are two clean runs the same bytes? Runs a profile twice, in two fresh copies of the project, and compares.

python -m lfcore.publish.verify digits     with one core and with four: which files differ, and in which row a CSV

Compared are all tables, arrays, models, predictions, forget sets and figures, PNG and PDF. Not compared is what holds
seconds: `costs.csv`, the sidecars of models, benchmarks, the trials of tuning, and executed notebooks.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from itertools import zip_longest
from pathlib import Path

from lfcore.core.errors import InputError
from lfcore.core.layout import Layout
from lfcore.core.paths import ROOT, sha256

IGNORED = {".venv", ".git", ".snakemake", "results", "data", ".pytest_cache", ".ruff_cache", ".hypothesis"}
"""What a copy leaves out of the project's own folder."""
TIMED = ("benchmarks", "executed", "notebooks", "pages", "tuning")
"""Folders of results whose files hold seconds, or ports and dates of a run."""
CORES = (1, 4)
ENDINGS = (".csv", ".npz", ".safetensors", ".png", ".pdf", ".json")


def copy(to: str | Path) -> Path:
    """Copy the project, without its results, to the new folder `to`; data sets that are files are linked."""

    def ignore(folder: str, names: list[str]) -> set[str]:
        return {"__pycache__"} | (IGNORED & set(names) if Path(folder) == ROOT else set())

    to = Path(shutil.copytree(ROOT, to, ignore=ignore))
    for made in (path for path in (to / "figures").iterdir() if path.name not in ("expected", "captions")):
        shutil.rmtree(made)
    if (ROOT / "data").is_dir():
        (to / "data").symlink_to(ROOT / "data")
    return to


def environment(folder: Path) -> dict[str, str]:
    """The variables with which a process started in `folder` imports the lfcore that lies there."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPATH": str(folder)}


def run(folder: Path, profile: str, cores: int, *, variables: dict[str, str] | None = None, threads: int = 1) -> None:
    """Run a profile in a copy of the project; raises InputError with the last line of a run that fails.

    variables: of the environment, beside those that are set. threads: of each job that trains or unlearns.
    """
    command = [sys.executable, "-m", "snakemake", "--quiet", "all", "--cores", str(cores)]
    command += ["--configfile", f"config/{profile}.yaml"]
    if threads > 1:
        command += ["--set-threads", f"train={threads}", f"unlearn={threads}"]
    given = environment(folder) | (variables or {})
    done = subprocess.run(command, cwd=folder, env=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        lines = done.stdout.decode(errors="replace").strip().splitlines()
        raise InputError(f"The run with {cores} cores failed: {lines[-1] if lines else 'it said nothing.'}")


def outputs(folder: str | Path, profile: str) -> dict[str, Path]:
    """What is compared of a profile, by its path within the project."""
    folder, found = Path(folder), {}
    for place in (Layout(profile).results, Layout(profile).figures):
        for path in sorted((folder / place).rglob("*")):
            inside = path.relative_to(folder / place).parts
            sidecar = inside[0] == "models" and path.suffix == ".json"
            aside = any(part.endswith(".damaged") for part in inside)
            if path.suffix in ENDINGS and inside[0] not in TIMED and path.name != "costs.csv" and not sidecar | aside:
                found[str(path.relative_to(folder))] = path
    return found


def compare(one: dict[str, Path], other: dict[str, Path]) -> list[str]:
    """A line for each file that only one of two runs has, or whose bytes differ; from `outputs`."""
    lines = [f"{name}: only in one of the two runs" for name in sorted(set(one) ^ set(other))]
    for name in sorted(set(one) & set(other)):
        if sha256(one[name]) != sha256(other[name]):
            lines.append(f"{name}: {first_row(one[name], other[name]) if name.endswith('.csv') else 'other bytes'}")
    return lines


def first_row(one: Path, other: Path) -> str:
    """The first line in which two text files differ."""
    pairs = zip_longest(*(path.read_text(errors="replace").split("\n") for path in (one, other)))
    number, (mine, theirs) = next((n, pair) for n, pair in enumerate(pairs, 1) if pair[0] != pair[1])
    return f"line {number}: {mine!r} and {theirs!r}"


def verify(profile: str, folder: str | Path) -> str:
    """Run `profile` in two copies within `folder`, with one core and with four, and return that they are the same.

    Raises InputError that says what differs, or why a run failed.
    """
    if not (ROOT / "config" / f"{profile}.yaml").is_file():
        raise InputError(f"There is no config/{profile}.yaml: choose a profile from config/.")
    found = []
    for cores in CORES:
        place = copy(Path(folder) / f"cores{cores}")
        print(f"Running {profile} with --cores {cores}, in {place}", flush=True)
        run(place, profile, cores)
        found.append(outputs(place, profile))
    if not found[0]:
        raise InputError("The two runs left nothing to compare: look at the profile.")
    what = f"{len(found[0])} files of {profile}, with --cores {CORES[0]} and --cores {CORES[1]}"
    if lines := compare(*found):
        raise InputError("\n".join([*lines, f"Not the same: {len(lines)} of {what}, differ."]))
    return f"The same, byte for byte: {what}."


def main() -> None:
    """Read the command line; exit with what differs if anything does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profile")
    arguments = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="verify") as folder:
            print(verify(arguments.profile, folder))
    except InputError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

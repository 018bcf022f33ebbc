"""Are two clean runs the same bytes? Runs a profile twice, in two fresh copies of the project, and compares.

python -m lfcore.publish.verify digits            with one core and with four; one line, or what differs and where
python -m lfcore.publish.verify --cores 2 2 smoke
python -m lfcore.publish.verify --against . digits   with one core, compared with the finished run in this folder

Compared are all tables, arrays, models, predictions, forget sets and figures, PNG and PDF. Not compared is what holds
seconds: `costs.csv`, the sidecars of models, benchmarks, the trials of tuning, and executed notebooks.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
from itertools import zip_longest
from pathlib import Path

import numpy as np

from lfcore.core.errors import InputError
from lfcore.core.layout import Layout
from lfcore.core.paths import ROOT

IGNORED = {".venv", ".git", ".snakemake", "results", "data", ".pytest_cache", ".ruff_cache", ".hypothesis"}
"""What a copy leaves out of the project's own folder."""
TIMED = ("benchmarks", "executed", "notebooks", "pages", "tuning")
"""Folders of results whose files hold seconds, or ports and dates of a run."""
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


def run(folder: Path, profile: str, cores: int) -> None:
    """Run a profile in a copy of the project; raises InputError with the last line of a run that fails."""
    command = [sys.executable, "-m", "snakemake", "--quiet", "all", "--cores", str(cores)]
    command += ["--configfile", f"config/{profile}.yaml"]
    done = subprocess.run(
        command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
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
    """A line for each file that only one of two runs has, or that differs, and where; from `outputs`."""
    lines = [f"{name}: only in one of the two runs" for name in sorted(set(one) ^ set(other))]
    for name in sorted(set(one) & set(other)):
        if one[name].read_bytes() != other[name].read_bytes():
            lines.append(f"{name}: {locate(one[name], other[name])}")
    return lines


def locate(one: Path, other: Path) -> str:
    """Where two files that differ do so first: row and column, pixel, array and index, or byte."""
    try:
        found = PLACES.get(one.suffix, _byte)(one, other)
    except Exception as error:  # a file may be broken: any reader's complaint is told beside the byte
        found = f"not readable ({type(error).__name__})"
    return found or f"the same content, written in other bytes; {_byte(one, other)}"


def _row(one: Path, other: Path) -> str:
    with one.open(newline="") as first, other.open(newline="") as second:
        pairs = enumerate(zip_longest(csv.reader(first), csv.reader(second)), 1)
        head: list[str] = []
        for number, (mine, theirs) in pairs:
            head = head or list(mine or [])
            if mine is None or theirs is None:
                return f"line {number} is in one only"
            for column, (left, right) in enumerate(zip_longest(mine, theirs)):
                if left != right:
                    name = head[column] if column < len(head) else column + 1
                    return f"line {number}, column {name}: {left!r} and {right!r}"
    return ""


def _pixel(one: Path, other: Path) -> str:
    from matplotlib.image import imread

    first, second = imread(one), imread(other)
    if first.shape != second.shape:
        return f"sizes {first.shape[1]}x{first.shape[0]} and {second.shape[1]}x{second.shape[0]}"
    different = np.argwhere((first != second).any(axis=-1))
    return f"{len(different)} pixels, the first in row {different[0][0]}, column {different[0][1]}"


def _array(one: Path, other: Path) -> str:
    if one.suffix == ".npz":
        with np.load(one) as first, np.load(other) as second:
            pair = dict(first), dict(second)
    else:
        from safetensors.numpy import load_file

        pair = load_file(one), load_file(other)
    for name in sorted(set(pair[0]) | set(pair[1])):
        if not all(name in arrays for arrays in pair):
            return f"the array {name} is in one only"
        left, right = (arrays[name] for arrays in pair)
        if left.shape != right.shape:
            return f"the array {name} has the shapes {left.shape} and {right.shape}"
        different = np.argwhere((left != right) & ((left == left) | (right == right)))  # NaN differs from itself
        if len(different):
            place = tuple(map(int, different[0]))
            return f"the array {name} at {place}: {left[place]} and {right[place]}"
    return ""


def _key(one: Path, other: Path) -> str:
    first, second = json.loads(one.read_text()), json.loads(other.read_text())
    return ", ".join(f"key {key}" for key in {**first, **second} if first.get(key) != second.get(key))


def _byte(one: Path, other: Path) -> str:
    first, second = one.read_bytes(), other.read_bytes()
    pairs = enumerate(zip(first, second, strict=False))
    at = next((place for place, (left, right) in pairs if left != right), min(len(first), len(second)))
    return f"byte {at} of {len(first)} and {len(second)}: {first[at : at + 20]!r} and {second[at : at + 20]!r}"


PLACES = {".csv": _row, ".png": _pixel, ".npz": _array, ".safetensors": _array, ".json": _key}


def verify(profile: str, cores: tuple[int, int], folder: str | Path, against: str | Path | None = None) -> str:
    """Run `profile` in two copies within `folder`, and return the line that says that they are the same.

    against: the folder of a project with a finished run, in place of the second copy; what is not the profile's own
    study there is left out. Raises InputError that says what differs, or why a run failed.
    """
    if not (ROOT / "config" / f"{profile}.yaml").is_file():
        raise InputError(f"There is no config/{profile}.yaml: choose a profile from config/.")
    found = []
    runs = cores if against is None else cores[:1]
    copies = [copy(Path(folder) / f"run{number}") for number in range(1, len(runs) + 1)]
    for place, each in zip(copies, runs, strict=True):
        print(f"Running {profile} with --cores {each}, in {place}", flush=True)
        run(place, profile, each)
        found.append(outputs(place, profile))
    if against is not None:
        found.append({name: path for name, path in outputs(against, profile).items() if name in found[0]})
    lines = compare(*found)
    if not found[0]:
        raise InputError("The two runs left nothing to compare: look at the profile.")
    counts = [f"{sum(Path(name).suffix == end for name in found[0])} {end[1:]}" for end in ENDINGS]
    other = f"--cores {cores[1]}" if against is None else f"those in {against}"
    what = f"{len(found[0])} files ({', '.join(counts)}) of {profile}, with --cores {cores[0]} and {other}"
    if lines:
        raise InputError(
            "\n".join([*(f"  {line}" for line in lines), f"Not the same: {len(lines)} of {what}, differ."])
        )
    return f"The same, byte for byte: {what}."


def main() -> None:
    """Read the command line; exit with what differs if anything does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profile")
    parser.add_argument("--cores", type=int, nargs=2, default=(1, 4), help="of the first run and of the second")
    parser.add_argument("--against", type=Path, help="a project with a finished run, in place of the second run")
    parser.add_argument("--keep", type=Path, help="a new folder for the two copies, which then stay")
    arguments = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="verify") as folder:
            print(verify(arguments.profile, tuple(arguments.cores), arguments.keep or folder, arguments.against))
    except InputError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

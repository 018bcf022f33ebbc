"""Results to take along: what a profile found, in a few files small enough to travel with the repository.

python -m lfcore.publish.bundle make cifar100            results/cifar100/ into bundles/cifar100/, for `make bundle`
python -m lfcore.publish.bundle make cifar100 --models   and all weights of originals and retrained models
python -m lfcore.publish.bundle restore cifar100         back, all of one age, so that only figures are left to make
python -m lfcore.publish.bundle predict cifar100         after that and the rule `data`: predictions from the weights

A bundle has tables, forget sets, records of all models, what the pages show, per-example measures (as float16, where
they are not whole numbers), and the weights of one original model, for reference; logits and features stay behind.
Every file in it is checked against its SHA-256. Restored files are as old as each other and newer than the sources,
and so up to date to Snakemake. That goes for a model's folder too, which then has records alone: to measure something
new, `predict` must come first, or results/<profile>/models be deleted and all of it computed again.
"""

import argparse
import hashlib
import io
import json
import os
import sys
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from lfcore.core import checkpoint, records
from lfcore.core.errors import InputError
from lfcore.core.layout import Layout
from lfcore.core.paths import ROOT, atomic
from lfcore.core.seeds import make_deterministic

LARGEST, FILES, ALL = 16 * 2**20, 8, 64 * 2**20
"""Bytes of a file at most, how many of them, and bytes of all together."""
PATTERNS = (
    "tables*/*.csv", "measurements*/**/*.csv", "probes*/**/*.csv", "probes*/**/*.npz", "tuning/**/*.csv",
    "experiments/*", "benchmarks/**/*.tsv", "data/*.json", "executed/01_data.ipynb", "executed/05_summary*.ipynb",
    "models/**/*.json", "measurements*/**/*.npz", "examples/**/*.parquet",
)  # fmt: skip
"""What is taken of results/<profile>/, beside weights."""
WEIGHTS = "models/*/*/{}/*/*.weights.safetensors"


def compact(content: bytes) -> bytes:
    """An npz with the same arrays, in which a real number that is not whole has 16 bits."""
    with np.load(io.BytesIO(content)) as arrays:
        found = {name: _halve(arrays[name]) for name in arrays.files}
    buffer = io.BytesIO()
    np.savez(buffer, **found)
    return buffer.getvalue()


def _halve(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind != "f" or array.dtype.itemsize < 4:
        return array
    if np.isin(array, (-1, 0, 1)).all():
        return array.astype(np.int8)
    return array.astype(np.float16) if np.nanmax(np.abs(array), initial=0) < 1000 else array.astype(np.float32)


def _take(results: Path, models: bool) -> Iterator[tuple[str, bytes]]:
    for pattern in PATTERNS:
        for path in sorted(results.glob(pattern)):
            content = path.read_bytes()
            is_measure = path.suffix == ".npz" and pattern.startswith("measurements")
            yield str(path.relative_to(results)), compact(content) if is_measure else content
    weights = [path for role in ("original", "retrained") for path in sorted(results.glob(WEIGHTS.format(role)))]
    for path in weights if models else weights[:1]:
        yield str(path.relative_to(results)), path.read_bytes()


def make(profile: str, *, models: bool = False) -> list[Path]:
    """Pack results/<profile> into bundles/<profile>/part<n>.zip, and return the files.

    Raises InputError if there are no tables yet, or if it takes more than FILES files of LARGEST bytes.
    """
    results, out = ROOT / Layout(profile).results, ROOT / "bundles" / profile
    if not any(results.glob("tables*/summary.csv")) and not any(results.glob("models/*")):
        raise InputError(f"There is nothing in {results} to bundle: run snakemake on the profile {profile} first.")
    parts, size = _divide(_take(results, models))
    if len(parts) > FILES or size > ALL:
        taken, limits = (f"{n} files and {b / 2**20:.0f} MiB" for n, b in ((len(parts), size), (FILES, ALL)))
        raise InputError(f"The bundle of {profile} takes {taken}, and {limits} are allowed: bundle less.")
    about = {"profile": profile, "parts": len(parts), "commit": checkpoint.commit(), "versions": checkpoint.versions()}
    about["sha256"] = {name: hashlib.sha256(content).hexdigest() for part in parts for name, content in part}
    parts[0].append(("bundle.json", json.dumps(about, indent=1).encode()))
    for old in out.glob("part*.zip"):
        old.unlink()
    paths = [out / f"part{number}.zip" for number in range(len(parts))]
    for path, part in zip(paths, parts, strict=True):
        with atomic(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as file:
            for name, content in part:  # one date, so that equal results make equal bundles
                file.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED, 9)
    return paths


def _divide(files: Iterable[tuple[str, bytes]]) -> tuple[list[list[tuple[str, bytes]]], int]:
    """The files in parts that take at most LARGEST bytes each, and how many bytes all of them take."""
    parts, total, taken, room = [[]], 0, 0, LARGEST - 2**20  # a MiB for the list of files
    for name, content in files:
        size = len(zlib.compress(content, 9)) + 4 * len(name) + 400  # zip's own records, twice the name
        if size > room:
            raise InputError(f"{name} is too large for a bundle ({size} bytes compressed): leave it out.")
        if taken + size > room:
            parts.append([])
            taken = 0
        parts[-1].append((name, content))
        taken, total = taken + size, total + size
    return parts, total


def _open(path: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(path) as file:
            return {name: file.read(name) for name in file.namelist()}
    except FileNotFoundError:
        raise InputError(f"{path} is missing: put all the files of a bundle into one folder.") from None
    except (zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path} is damaged ({error}): fetch the bundle again.") from None


def restore(profile: str) -> int:
    """Unpack bundles/<profile> to results/<profile>, and return how many files.

    Checks all of it first. Files of the profile that the bundle has not stay. Raises InputError.
    """
    source, results = ROOT / "bundles" / profile, ROOT / Layout(profile).results
    found = _open(source / "part0.zip")
    about = json.loads(found.pop("bundle.json", b"{}"))
    if about.get("profile") != profile:
        raise InputError(f"{source} is a bundle of {about.get('profile', 'nothing')} and not of {profile}.")
    for number in range(1, about["parts"]):
        found |= _open(source / f"part{number}.zip")
    changed = [name for name, one in about["sha256"].items() if hashlib.sha256(found.get(name, b"")).hexdigest() != one]
    outside = [name for name in found if not (results / name).resolve().is_relative_to(results.resolve())]
    if changed or outside or set(found) != set(about["sha256"]):
        where = (changed or outside or ["a file that it does not list"])[0]
        raise InputError(f"The bundle in {source} is not what was made ({where}): fetch it again.")
    for name, content in found.items():
        with atomic(results / name) as partial:
            partial.write_bytes(content)
        # compacted arrays are not those whose hash was recorded
        if name.endswith((".csv", ".npz", ".parquet", ".ipynb")):
            records.seal(results / name)
    settle([path for name in found for path in (results / name, (results / name).parent)])
    return len(found)


def settle(paths: list[Path]) -> None:
    """Make these files and folders as old as each other, now: Snakemake takes them for up to date."""
    now = time.time()
    for path in paths:
        os.utime(path, (now, now))


def predict(profile: str, device: str = "cpu") -> int:
    """Predict with every model of the profile that has weights and no predictions, and leave all as old as each other.

    Returns how many. Needs results/<profile>/data/dataset.safetensors, which the rule `data` makes. Predictions are
    made again, and may differ in the last bits from those that the tables are made of. Raises InputError.
    """
    from lfcore.core import data
    from lfcore.models import networks, predict

    make_deterministic(device)
    results = ROOT / Layout(profile).results
    everything = data.read(ROOT / Layout(profile).dataset)
    fingerprint, count = everything.sha256(), 0
    for path in sorted(results.glob("models/**/*.weights.safetensors")):
        if path.with_name(path.name.replace("weights", "predictions")).exists():
            continue
        seed = int(path.name.removeprefix("seed").split(".")[0])
        facts = checkpoint.sidecar([path.parent], seed)
        if facts["data"] != fingerprint:
            raise InputError(f"{path} was trained on other data than {profile}'s: make the data set again.")
        model = networks.read([path.parent], seed, facts["network"], everything, device)
        predictions = predict.predict(model, everything.images, device)
        trained_by = {key: facts.pop(key) for key in ("versions", "commit", "sha256")}
        checkpoint.write(path.parent, seed, model, predictions, {"trained_by": trained_by, **facts})
        count += 1
    settle([*results.rglob("*")])
    return count


def main() -> None:
    """Read the command line; exit with one sentence if something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["make", "restore", "predict"])
    parser.add_argument("profile")
    parser.add_argument("--models", action="store_true", help="take the weights of originals and retrained along")
    parser.add_argument("--device", default="cpu", help="of predict")
    given = parser.parse_args()
    try:
        if given.what == "make":
            for path in make(given.profile, models=given.models):
                print(f"{path}: {path.stat().st_size / 2**20:.1f} MiB")
        elif given.what == "restore":
            count = restore(given.profile)
            print(f"{count} files of {given.profile} are back and up to date: make figures draws them.")
        else:
            print(f"{predict(given.profile, given.device)} models have predictions again.")
    except InputError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()

"""Does the check of `make figures` find a planted fault? Run by `make planted`; writes tests/expected/planted.csv.

Each fault is one that unlearning code has had in public. It is planted in a copy of the project that holds the results
of the default profile; what depends on the changed file is made again, and the result is compared with the published
numbers as `make figures` compares them.

python tests/planted.py            every fault, in some twenty minutes on two idle cores
python tests/planted.py sign       or the name of one; other rows stay
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd

from lfcore.core import tables
from lfcore.core.layout import Layout
from lfcore.core.paths import ROOT
from lfcore.publish import expected, verify

OUT = ROOT / "tests" / "expected" / "planted.csv"
PROFILE = "digits"
FAULTS = {
    "sign": (
        "ascent descends",
        "lfcore/unlearners/ascent.py",
        "-cross_entropy(",
        "cross_entropy(",
    ),
    "stale": (
        "LTD's teacher teaches with stale BatchNorm statistics",
        "lfcore/unlearners/ltd.py",
        'statistics="recomputed"',
        'statistics="running"',
    ),
    "leak": (
        "LTD's teacher sees the forget set",
        "lfcore/unlearners/ltd.py",
        "choose_support(model, retain, forget, k,",
        "choose_support(model, retain + forget, forget, k,",
    ),
    "shift": (
        "the rows to forget are off by one",
        "lfcore/stages/data.py",
        "members[: int(np.floor(fraction * len(members)))]",
        "members[1 : 1 + int(np.floor(fraction * len(members)))]",
    ),
    "momentum": (
        "weight decay is passed as momentum",
        "lfcore/training/optimizers.py",
        '{"momentum": momentum,',
        '{"momentum": weight_decay,',
    ),
}
"""By name: what is wrong, in which file, what stands there, and what the fault makes of it."""


def plant(name: str, folder: Path) -> dict:
    """Plant a fault in a copy of the project within `folder`, run it, and return the row that says what was found."""
    text, file, right, wrong = FAULTS[name]
    place = verify.copy(folder / name)
    results = Layout(PROFILE).results
    shutil.copytree(ROOT / results, place / results, copy_function=os.link)
    source = (place / file).read_text()
    assert source.count(right) == 1, f"{file} does not hold {right!r} once: mend FAULTS."
    (place / file).write_text(source.replace(right, wrong))
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--quiet", "all", "--rerun-triggers", "mtime"]
    done = subprocess.run(
        command, cwd=place, env=verify.environment(place), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    command = [sys.executable, "-m", "lfcore.publish.expected", PROFILE]
    said = subprocess.run(
        command, cwd=place, env=verify.environment(place), capture_output=True, text=True, check=False
    )
    print(f"{name}: {text}\n{(said.stdout + said.stderr)[-1500:]}", flush=True)
    rows = expected.selection.select(tables.read(place / Layout(PROFILE).table.format(study="", table="summary")))
    compared = expected.compare(rows, tables.read(ROOT / "tests" / "expected" / f"{PROFILE}.csv"))
    shutil.rmtree(place)
    outside = int((compared["off"] > 1).sum())
    return {"name": name, "fault": text, "outside": outside, "compared": len(compared), "found": said.returncode != 0}


def main() -> None:
    """Plant every fault, or those that are named, and write what was found."""
    chosen = sys.argv[1:] or list(FAULTS)
    kept = tables.read(OUT) if OUT.is_file() else pd.DataFrame(columns=["name"])
    with tempfile.TemporaryDirectory(prefix="planted", dir=ROOT / "results") as folder:
        found = pd.DataFrame([plant(name, Path(folder)) for name in chosen])
    together = pd.concat([kept[~kept["name"].isin(chosen)], found], ignore_index=True)
    tables.write(together, OUT, seal=False)


if __name__ == "__main__":
    main()

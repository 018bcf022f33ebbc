"""A hundred million rows of examples: written, then read and drawn by a fresh process. Run by `make bench-rows`.

python tests/bench_rows.py [examples]          50,000 examples by default, as CIFAR has to train with

Twenty forget sets, ten unlearners and ten seeds, each row as those of `stages.per_example`, its numbers made up. A
temporary folder holds them meanwhile, a few GB: TMPDIR says where. Writes tests/expected/rows.csv: what the files take
on disk, and the CPU seconds and the peak resident memory of writing and of reading them.
"""

import csv
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np

from lfcore.core import data
from lfcore.core.layout import examples as file
from lfcore.core.paths import ROOT, atomic
from lfcore.core.run import Predictions, Run
from lfcore.stages import per_example

CLASSES, FRACTIONS, SEEDS = 4, [0.1, 0.25, 0.5, 0.75, 0.9], tuple(range(10))
UNLEARNERS = ["original", "retrained", *(f"method{number}" for number in range(8))]
FORGET_SETS = {f"{a}_{100 * f:g}": {"affected": a, "fraction": f} for a in range(CLASSES) for f in FRACTIONS}


def write(folder: Path, count: int) -> None:
    """Write the files of all forget sets and unlearners, each of `count` examples under every seed."""
    chance = np.random.default_rng(0)
    labels = np.arange(count) % 10
    for name, given in FORGET_SETS.items():
        train = np.arange(count * 4 // 5)
        members = train[labels[train] == given["affected"]]
        forget = members[: int(given["fraction"] * len(members))]
        similarity = np.tanh(chance.normal(size=count)) * 0.5 + 0.4 * (labels == given["affected"])
        removed = data.Forget(name, given["affected"], forget, np.setdiff1d(train, forget))
        models = Predictions(SEEDS, np.empty((len(SEEDS), 0, 10)), np.empty((len(SEEDS), 0, 1)))
        run = Run(
            models, models, models, False, labels, 10, removed, np.arange(len(train), count), similarity
        )  # fmt: skip
        for unlearner in UNLEARNERS:
            change = chance.beta(0.5, 8, size=(len(SEEDS), count))  # as total variation is: mostly near 0
            arrays = {
                "confidence_gap": change * chance.normal(0.5, 0.5, size=change.shape),
                "accuracy_gap": chance.binomial(10, change / 2) / 10,  # means over ten retrained models
                "total_variation": change,
                "flip": chance.binomial(10, change) / 10,
            }
            per_example.write(per_example.table(run, arrays), file(folder, "cnn", name, unlearner))


def draw(folder: Path) -> None:
    """What figure 61 does: read the means, compare them with the floor's, draw."""
    from lfcore.plots import grid, style

    means = grid.read(folder, "cnn", list(FORGET_SETS), UNLEARNERS, "total_variation")
    rows = grid.excess(means, FORGET_SETS)
    style.save(grid.heat(rows, UNLEARNERS, "total_variation"), folder / "61_grid")


def measure(step: str, folder: str, *more: str) -> tuple[float, float]:
    """CPU seconds and peak MiB of one step in a process of its own."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, f"--{step}", folder, *more]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)
    seconds, peak = json.loads(done.stdout.splitlines()[-1])
    return seconds, peak


def main(count: int) -> None:
    """Write, read, and write down what it took."""
    with tempfile.TemporaryDirectory() as folder:
        wrote = measure("write", folder, str(count))
        files = list(Path(folder).rglob("*.parquet"))
        size = sum(path.stat().st_size for path in files)
        read = measure("draw", folder)
    facts = {
        "rows": len(FORGET_SETS) * len(UNLEARNERS) * len(SEEDS) * count,
        "files": len(files),
        "gigabytes": f"{size / 1e9:.2f}",
        "write_cpu_seconds": f"{wrote[0]:.0f}",
        "write_peak_mib": f"{wrote[1]:.0f}",
        "read_cpu_seconds": f"{read[0]:.0f}",
        "read_peak_mib": f"{read[1]:.0f}",
        "duckdb": version("duckdb"),
        "pandas": version("pandas"),
        "python": platform.python_version(),
    }
    with atomic(ROOT / "tests" / "expected" / "rows.csv") as partial, partial.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([facts.keys(), facts.values()])
    print(*(f"{key}: {value}" for key, value in facts.items()), sep="\n")


if __name__ == "__main__":
    if sys.argv[1:2] in (["--write"], ["--draw"]):
        if sys.argv[1] == "--write":
            write(Path(sys.argv[2]), int(sys.argv[3]))
        else:
            draw(Path(sys.argv[2]))
        used = resource.getrusage(resource.RUSAGE_SELF)
        print(json.dumps([used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))
    else:
        main(int(sys.argv[1]) if sys.argv[1:] else 50_000)

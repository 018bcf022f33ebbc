"""The bench: what the workflow and the library cost, as ratios measured in one run. `make bench [PART=4]`.

Prints one table and appends it to tests/expected/bench.csv, with date, commit, machine, cores and versions, and says in
a sentence what got worse since the last rows of the same machine. Nothing else should run meanwhile: `load` is the load
average at the start. Seconds are CPU seconds, user and system, of all children, unless `what` says wall.

    python tests/bench.py [part ...]     1 2 3 4 5 6 7

part 1: CPU seconds of part of the default profile over bare training loops; what each kind of job takes
part 2: the same on one core and on two
part 3: a second run, and one changed option
part 4: a training step beside a plain torch loop
part 5: similarity, bins, discrepancies and top-k on a million examples
part 6: how costs grow with examples, classes, methods and seeds
part 7: peak memory of each kind of job
"""

import argparse
import math
import os
import platform
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from lfcore.core import checkpoint
from lfcore.core.paths import ROOT

HISTORY = ROOT / "tests" / "expected" / "bench.csv"
COLUMNS = ["date", "commit", "machine", "cores", "versions", "load", "part", "what", "value", "unit"]
COLUMNS += ["reference", "ratio", "target", "met"]
PACKAGES = ("torch", "numpy", "snakemake", "papermill")
WORSE = {"ratio": 1.15, "value": 1.3}
"""By which factor a number may be worse than before without a word; ratios of one run vary less than seconds."""


@dataclass(frozen=True)
class Row:
    """One measured thing.

    reference: what `value` is divided by; NaN if it stands alone. target: such as "<= 1.6", of the ratio where there is
    a reference, otherwise of the value; "" if none was set.
    """

    part: str
    what: str
    value: float
    unit: str
    reference: float = math.nan
    target: str = ""

    @property
    def ratio(self) -> float:
        """The value over its reference, or NaN."""
        return self.value / self.reference if self.reference else math.nan

    @property
    def met(self) -> str:
        """ "yes" or "no", or "" without a target."""
        if not self.target:
            return ""
        sign, limit = self.target.split()
        number = self.value if math.isnan(self.ratio) else self.ratio
        return "yes" if (number <= float(limit) if sign == "<=" else number >= float(limit)) else "no"


def slope(sizes, costs) -> tuple[float, float]:
    """The exponent b of costs = a sizes^b by least squares on logarithms, and its standard error (NaN of two)."""
    x, y = np.log(np.asarray(sizes, float)), np.log(np.asarray(costs, float))
    x, y = x - x.mean(), y - y.mean()
    b = (x * y).sum() / (x * x).sum()
    freedom = len(x) - 2
    return float(b), math.sqrt(((y - b * x) ** 2).sum() / freedom / (x * x).sum()) if freedom > 0 else math.nan


def processor() -> str:
    """The processor's name."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return (names or [platform.processor() or platform.machine()])[0]


def table(rows: list[Row], load: float) -> pd.DataFrame:
    """The measured rows with when and where they were measured: the columns COLUMNS."""
    about = {
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "commit": checkpoint.commit()[:10] + ("+" if checkpoint.commit().endswith("+") else ""),
        "machine": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "versions": " ".join(
            [f"python {platform.python_version()}", *(f"{name} {version(name)}" for name in PACKAGES)]
        ),
        "load": round(load, 1),
    }
    names = ("part", "what", "value", "unit", "reference", "ratio", "target", "met")
    return pd.DataFrame([about | {name: getattr(row, name) for name in names} for row in rows], columns=COLUMNS)


def read(path: Path = HISTORY) -> pd.DataFrame:
    """The history, empty if there is none yet."""
    if not path.is_file():
        return pd.DataFrame(columns=COLUMNS)
    found = pd.read_csv(path, dtype={"part": str, "commit": str})
    texts = ["target", "met"]
    return found.assign(**{name: found[name].fillna("") for name in texts})


def append(found: pd.DataFrame, path: Path = HISTORY) -> None:
    """Add the rows at the end of the history; four significant digits."""
    found.to_csv(path, mode="a", header=not path.is_file(), index=False, float_format="%.4g", lineterminator="\n")


def regressions(found: pd.DataFrame, history: pd.DataFrame) -> list[str]:
    """A sentence for each number that is clearly worse than the last one of the same machine with as many cores."""
    sentences = []
    before = history.groupby(["machine", "cores", "part", "what"], sort=False).last() if len(history) else history
    for now in found.itertuples():
        key = (now.machine, now.cores, now.part, now.what)
        if not len(before) or key not in before.index:
            continue
        then = before.loc[key]
        kind = "value" if math.isnan(now.ratio) or math.isnan(then["ratio"]) else "ratio"
        old, new = then[kind], getattr(now, kind)
        change = old / new if now.target.startswith(">=") or now.unit.endswith("/s") else new / old
        if change > WORSE[kind]:
            sentences.append(
                f"Worse than on {then['date']} ({then['commit']}): part {now.part}, {now.what}: {kind} {new:.3g} after "
                f"{old:.3g}."
            )
    return sentences


def main(arguments: list[str] | None = None) -> None:
    """Measure the chosen parts, print the table, and append it to the history."""
    import bench_parts

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", default=[*"1234567"], metavar="part")
    parser.add_argument("--keep", type=Path, default=HISTORY, help="the history to compare with and to append to")
    chosen = parser.parse_args(arguments)
    if unknown := [part for part in chosen.parts if part not in bench_parts.PARTS]:
        parser.error(f"There is no part {unknown[0]}: choose from {', '.join(bench_parts.PARTS)}.")
    load, start, rows = os.getloadavg()[0], time.perf_counter(), []
    if load > 0.5:
        print(f"The load average is {load:.1f}: other work runs here, and seconds of wall time mean little.")
    with bench_parts.Bench(bench_parts.FULL) as bench:
        for part in chosen.parts:
            for row in bench_parts.PARTS[part](bench):
                rows.append(row)
                against = "" if math.isnan(row.ratio) else f" = {row.ratio:.3g} x {row.reference:.4g}"
                wanted = f" (target {row.target}: {row.met})" if row.target else ""
                print(f"{row.part}  {row.what}: {row.value:.4g} {row.unit}{against}{wanted}", flush=True)
    found, history = table(rows, load), read(chosen.keep)
    append(found, chosen.keep)
    for sentence in regressions(found, history):
        print(sentence)
    minutes = (time.perf_counter() - start) / 60
    print(f"{len(found)} rows more in {chosen.keep.name} after {minutes:.1f} minutes.")


if __name__ == "__main__":
    sys.exit(main())

"""How often does the check of `publish.expected` cry wolf? Answered by the blocks of the study `replicates`.

python -m lfcore.publish.calibration digits     writes tests/expected/digits_calibration.csv

One block is taken as published, another as the run that is checked, with its models drawn again with replacement: the
originals (and what was unlearned from them) together, the floor's apart. So a resample differs from what is published
by fresh originals, references and floors, and is noisier than a run is. The share of numbers that may lie outside
their tolerance is the 99 % quantile over resamples, so at most one resample in a hundred is a false alarm.
"""

import argparse
import itertools
import sys
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import beta

from lfcore.core import tables
from lfcore.core.errors import InputError
from lfcore.core.layout import Layout, ending
from lfcore.core.paths import ROOT
from lfcore.publish import expected, selection
from lfcore.statistics.claims import BLOCKS, without_unit

RESAMPLES, LEVEL = 2000, 0.99


class Block(NamedTuple):
    """The published numbers of one block, and the values of each seed that they are means of.

    numbers: with mean and tolerance. values: (rows, seeds). base, floor: for each number the row of its values, and
    that of the floor's to take off (-1 for none). is_floor: (rows,), whether a row is the floor's own.
    """

    numbers: pd.DataFrame
    values: np.ndarray
    base: np.ndarray
    floor: np.ndarray
    is_floor: np.ndarray


def read(profile: str, study: str) -> Block:
    """The block of this study. Numbers of predictions averaged over seeds are left out: they are no mean."""
    table = ROOT / Layout(profile).table.format(study=ending(study), table="{}")
    paths = {name: table.with_name(f"{name}.csv") for name in ("summary", "measurements")}
    if not all(path.is_file() for path in paths.values()):
        raise InputError(f"There are no results of {study}: run snakemake --cores 4 {BLOCKS} first.")
    found = selection.select(tables.read(paths["summary"]))
    numbers = expected.with_tolerance(without_unit(found[found["reference"] != "retrained_mean"]))
    numbers = numbers[numbers["tolerance"].notna() & (numbers["n"] > 1)].reset_index(drop=True)
    rows = without_unit(tables.read(paths["measurements"]))
    rows = rows[(rows["reference"] != "retrained_mean") & rows["seed"].astype(str).str.isdigit()]
    rows = rows.assign(position=rows.groupby(tables.GROUP).cumcount())
    wide = rows.pivot(index=tables.GROUP, columns="position", values="value")
    wide = wide[wide.notna().all(axis=1)]
    excess = numbers["metric"].str.endswith("_excess")
    keys = numbers[tables.GROUP].assign(metric=numbers["metric"].str.removesuffix("_excess"))
    base = wide.index.get_indexer(pd.MultiIndex.from_frame(keys))
    floor = wide.index.get_indexer(pd.MultiIndex.from_frame(keys.assign(unlearner=tables.FLOOR)))
    known = (base >= 0) & ((floor >= 0) | ~excess)
    is_floor = wide.index.get_level_values("unlearner") == tables.FLOOR
    floor = np.where(excess, floor, -1)
    return Block(numbers[known].reset_index(drop=True), wide.to_numpy(), base[known], floor[known], is_floor)


def share(published: Block, run: Block, draw: np.random.Generator | None = None) -> float:
    """The share of `published` numbers that those of `run` lie outside of. draw: draws models of `run` again."""
    seeds = run.values.shape[1]
    order = [np.arange(seeds) if draw is None else draw.integers(seeds, size=seeds) for _ in range(2)]
    means = np.where(run.is_floor, run.values[:, order[1]].mean(axis=1), run.values[:, order[0]].mean(axis=1))
    here = means[run.base] - np.where(run.floor >= 0, means[run.floor], 0)
    there = run.numbers[tables.GROUP].assign(here=here)
    both = published.numbers.merge(there, on=tables.GROUP)
    return float(((both["here"] - both["mean"]).abs() > both["tolerance"]).mean())


def calibrate(blocks: list[Block], resamples: int = RESAMPLES) -> dict[str, float]:
    """The allowed share, and how often it is exceeded by resamples and by fresh blocks as they are."""
    draw = np.random.default_rng(0)
    pairs = list(itertools.permutations(range(len(blocks)), 2))
    chosen = [pairs[number] for number in draw.integers(len(pairs), size=resamples)]
    shares = np.array([share(blocks[one], blocks[two], draw) for one, two in chosen])
    allowed = float(np.ceil(1000 * np.quantile(shares, LEVEL)) / 1000)
    fresh = np.array([share(block, blocks[place - 1]) for place, block in enumerate(blocks)])
    alarms = int((fresh > allowed).sum())
    return {
        "blocks": len(blocks),
        "numbers": len(blocks[0].numbers),
        "resamples": resamples,
        "allowed_share": allowed,
        "false_alarms": float((shares > allowed).mean()),
        "fresh_draws": len(fresh),
        "fresh_alarms": alarms,
        "fresh_low": float(beta.ppf(0.025, alarms, len(fresh) - alarms + 1)) if alarms else 0.0,
        "fresh_high": float(beta.ppf(0.975, alarms + 1, len(fresh) - alarms)) if alarms < len(fresh) else 1.0,
        "fresh_worst": float(fresh.max()),
    }


def main() -> None:
    """Read the command line, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profile")
    parser.add_argument("--blocks", type=int, default=10)
    arguments = parser.parse_args()
    try:
        blocks = [read(arguments.profile, f"{BLOCKS}{number}") for number in range(1, arguments.blocks + 1)]
    except InputError as error:
        sys.exit(str(error))
    found = pd.DataFrame([calibrate(blocks)])
    tables.write(found, ROOT / "tests" / "expected" / f"{arguments.profile}_calibration.csv", seal=False)
    print(found.T.to_string(header=False))


if __name__ == "__main__":
    main()

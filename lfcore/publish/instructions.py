"""Are the numbers the same on another processor? Runs a profile again, with other instructions and other threads.

python -m lfcore.publish.instructions smoke             how far every model and every number moves
python -m lfcore.publish.instructions --write digits    and publishes it, tests/expected/digits_instructions.csv

The results of the profile must be there. It is run twice more, each time in a fresh copy of the project: with the
instructions that every x86-64 processor of the last fifteen years has (PLAIN), and with two threads in each job.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

from lfcore.core import tables
from lfcore.core.errors import InputError
from lfcore.core.layout import Layout
from lfcore.core.paths import ROOT
from lfcore.core.run import softmax
from lfcore.publish import verify

PLAIN = {
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "MKL_CBWR": "COMPATIBLE",
    "OPENBLAS_CORETYPE": "Nehalem",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
}
"""What keeps torch, its libraries, numpy and scipy from wider instructions than SSE4."""
CONDITIONS = {"plain instructions": (PLAIN, 1), "two threads": ({}, 2)}
"""What is changed: variables of the environment, and the threads of a job."""
CLOSE = 1e-6
"""How far a probability may move, and the share that a published number may."""
JUMPS = {
    "salun": "keeps the weights of a top-k mask",
    "amun": "searches adversarial images until the prediction tips over",
    "ltd": "stops its teacher at an accuracy",
    "ssd": "dampens the weights over a threshold",
}
"""Methods of which a last digit can make a jump, and where."""


def predictions(folder: Path, other: Path, profile: str) -> pd.DataFrame:
    """How far two runs' predictions lie apart: a row an unlearner with models, close, worst.

    close: of how many no probability moves by more than CLOSE. worst: the largest move of one.
    """
    models, rows = Layout(profile).all_models, []
    for path in sorted((folder / models).rglob("seed*.predictions.safetensors")):
        again = other / path.relative_to(folder)
        if not again.is_file():
            raise InputError(f"There is no {again}: the two runs are not of one profile. Run make figures again.")
        one, two = (softmax(load_file(each)["logits"]) for each in (path, again))
        rows.append([path.relative_to(folder / models).parts[2], float(np.abs(one - two).max())])
    table = pd.DataFrame(rows, columns=["unlearner", "moved"])
    found = table.groupby("unlearner")["moved"].agg(
        models="size", close=lambda moved: int((moved <= CLOSE).sum()), worst="max"
    )
    return found.reset_index()


def numbers(folder: Path, other: Path, profile: str) -> dict[str, int]:
    """How many means and ends of intervals of the summary there are, and are the same to six digits; and verdicts."""
    place = Layout(profile).table
    one, two = (tables.read(each / place.format(study="", table="summary")) for each in (folder, other))
    both = one.merge(two, on=tables.GROUP, how="outer", suffixes=("", "_again"))
    columns = ["mean", "low", "high"]
    pairs = [(both[name].to_numpy(float), both[f"{name}_again"].to_numpy(float)) for name in columns]
    given = [~(np.isnan(a) & np.isnan(b)) for a, b in pairs]
    same = [np.isclose(a, b, rtol=CLOSE, atol=1e-9) for a, b in pairs]
    claims = [tables.read(each / place.format(study="", table="claims")) for each in (folder, other)]
    verdicts = [list(each["verdict"].fillna("")) for each in claims]
    return {
        "numbers": sum(int(each.sum()) for each in given),
        "same": sum(int((a & b).sum()) for a, b in zip(given, same, strict=True)),
        "verdicts": len(verdicts[0]),
        "same_verdicts": sum(a == b for a, b in zip(*verdicts, strict=True)),
    }


def describe(condition: str, moved: pd.DataFrame, counts: dict[str, int]) -> str:
    """What a run under another condition shows. Raises InputError if it moves what must not move."""
    lines = [
        f"{row.unlearner}: {row.close} of {row.models} models the same to {CLOSE:g}, the worst moves by {row.worst:.0e}"
        + (f" ({JUMPS[row.unlearner.split('-')[0]]})" if row.unlearner.split("-")[0] in JUMPS else "")
        for row in moved.itertuples(index=False)
        if row.close < row.models
    ]
    lines.append(
        f"With {condition}: {moved['close'].sum()} of {moved['models'].sum()} models the same to {CLOSE:g} (the worst "
        f"moves by {moved['worst'].max():.0e}), {counts['same']} of {counts['numbers']} numbers to six digits, "
        f"{counts['same_verdicts']} of {counts['verdicts']} verdicts."
    )
    methods = moved["unlearner"].str.split("-").str[0]
    smooth = moved[~methods.isin(JUMPS)]
    if (smooth["close"] < smooth["models"]).any() or counts["same_verdicts"] < counts["verdicts"]:
        raise InputError("\n".join([*lines, "Not the same: a method without a jump, or a verdict, moves."]))
    return "\n".join(lines)


def check(profile: str, start: Path, folder: Path, conditions: dict[str, tuple] = CONDITIONS) -> pd.DataFrame:
    """Run `profile` under each of `conditions` within `folder`, compare with the results in `start`, and print it.

    Returns the rows of `predictions`, after a column `condition`, with the counts of `numbers`.
    """
    if not (start / Layout(profile).table.format(study="", table="claims")).is_file():
        raise InputError(f"There are no results of {profile}: run make figures PROFILE={profile} first.")
    found = []
    for condition, (variables, threads) in conditions.items():
        place = verify.copy(folder / condition.replace(" ", "_"))
        print(f"Running {profile} with {condition}, in {place}", flush=True)
        verify.run(place, profile, 2, variables=variables, threads=threads)
        moved, counts = predictions(start, place, profile), numbers(start, place, profile)
        print(describe(condition, moved, counts), flush=True)
        found.append(moved.assign(condition=condition, **counts))
    table = pd.concat(found, ignore_index=True)
    return table[["condition", *(name for name in table if name != "condition")]]


def main() -> None:
    """Read the command line; exit with what moves, if it must not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profile")
    parser.add_argument("--write", action="store_true", help="publish what was found")
    arguments = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="instructions") as folder:
            table = check(arguments.profile, ROOT, Path(folder))
    except InputError as error:
        sys.exit(str(error))
    if arguments.write:
        tables.write(table, ROOT / "tests" / "expected" / f"{arguments.profile}_instructions.csv", seal=False)


if __name__ == "__main__":
    main()

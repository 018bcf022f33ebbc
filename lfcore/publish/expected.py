"""Are these the published numbers? Compares a study's summary with `tests/expected/<name>.csv`, and writes that.

python -m lfcore.publish.expected digits             what differs, and whether the run is reproduced
python -m lfcore.publish.expected --write digits     publish the current results, and the tables of the README
python -m lfcore.publish.expected digits-reachable   likewise for a study, and for the tuning: digits-tuning
python -m lfcore.publish.expected --spread smoke     publish only the sd, of a run with more seeds than the profile has

A run is reproduced if no published number is missing and few of those compared lie further off than four standard
deviations of the difference of two runs: at most the share that `publish.calibration` found to raise one false alarm in
a hundred, else half a percent. How many verdicts are the published ones is said in any case.
"""

import argparse
import shutil
import sys

import numpy as np
import pandas as pd
import yaml

from lfcore.core import tables
from lfcore.core.errors import InputError
from lfcore.core.paths import ROOT, atomic
from lfcore.publish import markdown, selection
from lfcore.statistics import replicates, setting_choice
from lfcore.statistics.summary import median_costs, tolerance
from lfcore.workflow.config import checked
from lfcore.workflow.failures import move_aside
from lfcore.workflow.notebooks import to_yaml
from lfcore.workflow.studies import BUDGETS

READMES = ["README.md", "config/settings.md", "tests/expected/README.md"]
"""The pages with tables made of what is published."""
SHARE, WORST = 0.005, 10
"""The share of the compared numbers that may lie outside, and how many of those outside are named."""
RULE = (
    "The rule: other processors and versions round differently, and training is then a new draw of the seeds' noise. "
    "The difference of two means over n seeds has the standard deviation sd * sqrt(2 / n), and four of those are "
    "allowed. One seed that fails lies further off, so a few numbers may lie outside; none may be missing."
)


def with_tolerance(rows: pd.DataFrame, spread: pd.DataFrame | None = None) -> pd.DataFrame:
    """`rows` and their tolerance, four standard deviations of the difference of two runs (see RULE).

    The sd is the published one alone. That of the run which is judged does not count: a method that fails in many seeds
    would widen its own tolerance, and pass.

    spread: rows to take the sd from, for a profile with too few seeds to know its own. Where the tolerance
    would be more than a quarter of the metric's range, or there is no sd, it is NaN: the row is not compared.
    """
    sd = rows["sd"]
    if spread is not None:
        known = spread.set_index(tables.GROUP)["sd"]
        sd = known.reindex(pd.MultiIndex.from_frame(rows[tables.GROUP])).to_numpy()
    kind = rows["metric"].str.removesuffix("_excess")
    percent, order = kind.isin([*selection.PERCENT, *selection.ATTACKS]), kind.str.contains("spearman|correlation")
    # 4 points are about what one example of a class of thirty changes when it tips over
    smallest = np.select([percent, order], [4.0, 0.1], 0.01)
    allowed = tolerance(sd, rows["n"], smallest)
    return rows.assign(tolerance=allowed.where(allowed <= np.where(percent, 25, 0.25)))


def compare(rows: pd.DataFrame, expected: pd.DataFrame) -> pd.DataFrame:
    """The published numbers that are compared with those of `rows`, with two more columns: mean_here and off.

    off is the distance in tolerances: above one for a number that differs, infinite for one that is missing. Compared
    is what has a tolerance; a row that `rows` lack is missing, whether it has one or not.
    """
    both = expected.merge(
        rows[[*tables.GROUP, "mean"]], on=tables.GROUP, how="left", suffixes=("", "_here"), indicator="side"
    )
    lacking = both.pop("side") == "left_only"
    both = both[both["mean"].notna() & (both["tolerance"].notna() | lacking)]
    off = (both["mean_here"] - both["mean"]).abs() / both["tolerance"]
    return both.assign(off=off.fillna(np.inf))


def allowed_share(name: str) -> float:
    """The share of the numbers of `name` that may lie outside their tolerance."""
    path = ROOT / "tests" / "expected" / f"{name}_calibration.csv"
    return float(tables.read(path)["allowed_share"].iloc[0]) if path.is_file() else SHARE


def is_reproduced(compared: pd.DataFrame, share: float = SHARE) -> bool:
    """Whether no number is missing and at most `share` of them lie outside. compared: from `compare`."""
    return bool(np.isfinite(compared["off"]).all() and (compared["off"] > 1).sum() <= share * len(compared))


def describe(compared: pd.DataFrame) -> str:
    """The numbers that differ most, in a line each, and how many do. compared: from `compare`."""
    outside = compared[compared["off"] > 1].sort_values("off", ascending=False, kind="stable")
    lines = [
        f"  {' '.join(filter(None, (getattr(row, name) for name in tables.GROUP)))}: "
        + ("missing here" if np.isnan(row.mean_here) else f"here {row.mean_here:.4g}")
        + f", published {row.mean:.4g}, tolerance {row.tolerance:.4g}"
        for row in outside.head(WORST).itertuples(index=False)
    ]
    count = f"{len(outside)} of {len(compared)} numbers lie outside their tolerance"
    if missing := int(np.isinf(outside["off"]).sum()):
        count += f", and {missing} of these are missing"
    if len(outside) > WORST:
        count += f"; the worst {WORST} are above"
    return "\n".join([*lines, f"{count}."])


def report(name: str) -> str:
    """What tells whether the results of the profile or study `name` are the published ones; InputError if not."""
    path = ROOT / "tests" / "expected" / f"{name}.csv"
    if not path.is_file():
        return f"There are no published numbers for the profile {name}, so there is nothing to compare with."
    expected = tables.read(path)
    if name.endswith("-tuning"):
        return _report_choices(name, expected)
    compared = compare(selection.numbers(name), expected)
    same = int(np.isclose(compared["mean_here"], compared["mean"], rtol=1e-6, atol=1e-9).sum())
    verdicts, verdicts_same = _verdicts(name)
    lines = [describe(compared), *verdicts]
    if (compared["off"] > 1).any():
        lines.append(RULE)
    where = f"tests/expected/{name}.csv"
    if not is_reproduced(compared, allowed_share(name)):
        raise InputError("\n".join([*lines, f"Not reproduced: these are not the numbers of {where}."]))
    if same == len(compared) and verdicts_same:
        return "\n".join([*lines, f"Reproduced, the same to six digits, all verdicts the same: {same} of {where}."])
    digits = f"{same} of {len(compared)} numbers are the same to six digits"
    rest = f"{len(expected) - len(compared)} more vary too much between seeds to compare"
    return "\n".join([*lines, f"Reproduced: the numbers of {where}. {digits}; {rest}."])


def _verdicts(name: str) -> tuple[list[str], bool]:
    """What is to be said of the primary claims' verdicts, and whether all are the published ones."""
    path = ROOT / "tests" / "expected" / f"{name}_claims.csv"
    if not path.is_file() or "id" not in (published := tables.read(path)):
        return [], True  # published without primary claims
    here, keys = tables.read(selection.folder_of(name)[1] / "claims.csv"), ["id", "forget_set", "network"]
    both = published[published["id"] != ""].merge(here, on=keys, how="left")
    same = int((both["verdict_x"] == both["verdict_y"]).sum())
    lines = [f"{same} of {len(both)} verdicts of this block of seeds are the published ones."] if len(both) else []
    pooled = path.with_name(f"{name}_primary.csv")
    if pooled.is_file():
        signs = replicates.compare(here, tables.read(pooled))
        lines.append(f"{int(signs['same'].sum())} of {len(signs)} claims that all blocks decide have their sign here.")
    return lines, same == len(both)


def _report_choices(name: str, expected: pd.DataFrame) -> str:
    here, both = selection.trials(name), setting_choice.KEYS
    ours, theirs = (
        {(row.budget, row.unlearner, by): row.setting for row in table.itertuples() for by in both if getattr(row, by)}
        for table in (here, expected)
    )
    changed = sorted(place for place in theirs if ours.get(place) != theirs[place])
    if changed:
        raise InputError(f"Not reproduced: {len(changed)} of {len(theirs)} choices differ, the first {changed[0]}.")
    return f"Reproduced: all {len(theirs)} choices are the published ones."


def write(name: str) -> None:
    """Publish the results of `name`: expected numbers, small pictures of the figures, the tables of the READMEs."""
    folder = ROOT / "tests" / "expected"
    if name.endswith("-tuning"):
        trials = selection.trials(name)
        tables.write(trials.drop(columns=["cpu_seconds"]), folder / f"{name}.csv", seal=False)
        _write_choices(name, trials)
        return
    profile, results = selection.folder_of(name)
    rows, experiments = selection.numbers(name), selection.experiments(name)
    is_trial = checked(profile)["seeds"]["unlearned"] == 1  # a trial run, which has no intervals
    if experiments:
        rows = rows.assign(tolerance=tolerance(rows["sd"], rows["n"], 0.01))
    else:
        rows = with_tolerance(rows, tables.read(folder / f"{name}_spread.csv") if is_trial else None)
    tables.write(rows, folder / f"{name}.csv", seal=False)
    if is_trial:
        return
    for picture in sorted((ROOT / "figures" / profile).glob("*.png")):
        target = ROOT / "figures" / "expected" / profile / picture.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(picture, target)
    if not experiments:
        shutil.copyfile(results / "claims.csv", folder / f"{name}_claims.csv")
        costs = median_costs(tables.read(results / "costs.csv"))
        tables.write(costs, folder / f"{name}_costs.csv", seal=False)
    if name == profile and (found := selection.primary(profile)) is not None:
        tables.write(found, folder / f"{profile}_primary.csv", seal=False)
    for readme in (ROOT / place for place in READMES):
        text = markdown.fill(readme.read_text())
        with atomic(readme) as partial:
            partial.write_text(text)


def write_spread(name: str) -> None:
    """Publish the sd of each number of a run of `name`, as the spread that a run with one seed can't know."""
    rows = selection.numbers(name)[[*tables.GROUP, "sd", "n"]]
    tables.write(rows, ROOT / "tests" / "expected" / f"{name}_spread.csv", seal=False)


def _write_choices(name: str, trials: pd.DataFrame) -> None:
    """The chosen settings as configuration: by the rule, the reachable ones, and by the rule at equal steps.

    Those of another profile than the default are called `<profile>_rule` and so on, and stand beside the default's.
    """
    profile = name.partition("-")[0]
    grids = checked(profile)["tuning"]
    epochs, steps, whole = (trials[trials["budget"] == budget] for budget in BUDGETS)
    steps = steps[steps["steps"] > 0]  # all but what takes one step, or none
    matched = setting_choice.choices(steps, "rule", grids["grids"] | grids.get("grids_at_steps", {}))
    found = {
        "rule": setting_choice.choices(epochs, "rule", grids["grids"])
        | setting_choice.choices(whole, "rule", grids.get("grids_of_class", {})),
        "reachable": setting_choice.choices(epochs, "reachable", grids["grids"]),
        "matched": {method: {**options, "steps": grids["steps"]} for method, options in matched.items()},
    }
    own = "" if profile == "digits" else f"{profile}_"
    path = ROOT / "config" / "choices.yaml"
    chosen = yaml.safe_load(path.read_text())["choices"]
    chosen |= {f"{own}{by}": methods for by, methods in found.items() if methods}
    lines = [
        "# What tuning chose, written by `python -m lfcore.publish.expected --write digits-tuning` after `make tune`,",
        "# and likewise for other profiles, whose choices begin with their name.",
        "choices:",
    ]
    for by, methods in chosen.items():
        lines += [f"  {by}:", *(f"    {method}: {to_yaml(**options)}" for method, options in methods.items())]
    with atomic(path) as partial:
        partial.write_text("\n".join(lines) + "\n")


def main() -> None:
    """Read the command line; exit with one sentence if the numbers differ or are missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("profile")
    parser.add_argument("--write", action="store_true", help="publish instead of compare")
    parser.add_argument("--spread", action="store_true", help="publish the sd alone")
    arguments = parser.parse_args()
    try:
        if arguments.spread:
            write_spread(arguments.profile)
        elif arguments.write:
            write(arguments.profile)
        else:
            print(report(arguments.profile))
    except InputError as error:
        sys.exit(f"{error}{move_aside([f'{type(error).__name__}: {error}'])}")


if __name__ == "__main__":
    main()

"""Are these the published numbers? Compares a study's summary with `tests/expected/<name>.csv`, and writes that.

python -m lfcore.publish.expected digits             one line: reproduced, or what differs
python -m lfcore.publish.expected --write digits     publish the current results, and the tables of the README
python -m lfcore.publish.expected digits-reachable   likewise for a study, and for the tuning: digits-tuning
"""

import argparse
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from lfcore.core import tables
from lfcore.core.errors import InputError
from lfcore.core.paths import ROOT, atomic
from lfcore.publish import figure_costs, markdown
from lfcore.stages.summary import affected_classes
from lfcore.statistics import setting_choice
from lfcore.statistics.summary import EXCESS, median_costs, over_seeds, tolerance
from lfcore.workflow.config import checked
from lfcore.workflow.failures import move_aside
from lfcore.workflow.notebooks import to_yaml
from lfcore.workflow.studies import BUDGETS

PERCENT = ["accuracy", "membership", "average_gap", "average_gap_without_mia", "affected_gap", "teacher_accuracy"]
"""Metrics in percentage points."""
ATTACKS = ["feature_mapping", "feature_mapping_linear", "head_recovery", "relearned", "linear_probe", "nonlinear_probe"]
ATTACKS += ["prototype_best", "feature_mapping_contracted", "feature_mapping_linear_contracted"]
"""What attacks recover, in percentage points; published whatever its scope, as is OTHER."""
OTHER = ["over_unlearning", "spread_ratio"]
SHARES = ["tow", "tow_mia", "lira_auc", "cka_retrained", "jensen_shannon", "membership_loss", "target_label"]
SHARES += ["class_correlation", "target_uniform", "target_teacher", "target_model"]
METRICS = [*PERCENT, *ATTACKS, *OTHER, *SHARES, *(name + ending for name in EXCESS for ending in ("", "_excess"))]
"""What is published, beside bins and classes, which can be made again."""
OF_RETAIN = ["total_variation", "localization", "matched_localization", "shuffled_localization"]
"""What is published, with its excess, of the ranges of retained examples; of those of test examples everything is."""
READMES = ["README.md", "config/README.md", "tests/expected/README.md"]
"""The pages with tables made of what is published."""
REASON = (
    "Other processors and versions round differently, and then training is a new draw of the seeds' noise: the "
    "difference of two means over n seeds has the standard deviation sd * sqrt(2 / n), and four of those are allowed."
)


def select(summary: pd.DataFrame, data: str | Path) -> pd.DataFrame:
    """The rows of a summary that are published: whole splits, the affected class, ranges of similarity, attacks."""
    classes = summary["forget_set"].map(affected_classes(data, summary["forget_set"].unique()))
    whole = (summary["scope"] == "all") | ((summary["scope"] == "class") & (summary["key"] == classes))
    averaged = (summary["reference"] == "retrained_mean") & (summary["metric"] != "total_variation")
    wanted = (summary["split"] == "test") | summary["metric"].str.removesuffix("_excess").isin(OF_RETAIN)
    ranges = (summary["scope"] == "range") & wanted & ~averaged
    attacks = summary["metric"].isin([*ATTACKS, *OTHER])
    return summary[(whole | ranges | attacks) & summary["metric"].isin(METRICS)].reset_index(drop=True)


def with_tolerance(rows: pd.DataFrame, spread: pd.DataFrame | None = None) -> pd.DataFrame:
    """`rows` and their tolerance, four standard deviations of the difference of two runs (see REASON).

    spread: published rows to take the sd from, for a profile with too few seeds to know its own. Where the tolerance
    would be more than a quarter of the metric's range, or there is no sd, it is NaN: the row is not compared.
    """
    sd = rows["sd"]
    if spread is not None:
        known = spread.set_index(tables.GROUP)["sd"]
        sd = known.reindex(pd.MultiIndex.from_frame(rows[tables.GROUP])).to_numpy()
    kind = rows["metric"].str.removesuffix("_excess")
    percent, order = kind.isin([*PERCENT, *ATTACKS]), kind.str.contains("spearman|correlation")
    # 4 points are about what one example of a class of thirty changes when it tips over
    smallest = np.select([percent, order], [4.0, 0.1], 0.01)
    allowed = tolerance(sd, rows["n"], smallest)
    return rows.assign(tolerance=allowed.where(allowed <= np.where(percent, 25, 0.25)))


def compare(rows: pd.DataFrame, expected: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """The expected rows that `rows` lack or lie further from than the tolerance, and how many are the same digits."""
    both = expected.merge(rows[[*tables.GROUP, "mean"]], on=tables.GROUP, how="left", suffixes=("", "_here"))
    both = both[both["tolerance"].notna() & both["mean"].notna()]
    near = (both["mean_here"] - both["mean"]).abs() <= both["tolerance"]
    return both[~near], int(np.isclose(both["mean_here"], both["mean"], rtol=1e-8, atol=1e-10).sum())


def report(profile: str) -> str:
    """The line that tells whether the results of `profile` are the published ones; raises InputError if not."""
    path = ROOT / "tests" / "expected" / f"{profile}.csv"
    if not path.is_file():
        return f"There are no published numbers for the profile {profile}, so there is nothing to compare with."
    expected = tables.read(path)
    if profile.endswith("-tuning"):
        return _report_choices(profile, expected)
    different, same = compare(_current(profile), expected)
    if len(different):
        lines = [
            f"  {' '.join(filter(None, row[: len(tables.GROUP)]))}: here {row.mean_here:.4g}, published {row.mean:.4g},"
            f" tolerance {row.tolerance:.4g}"
            for row in different.head(10).itertuples(index=False)
        ]
        raise InputError(
            "\n".join([*lines, REASON])
            + f"\nNot reproduced: {len(different)} numbers differ from {path.relative_to(ROOT)}"
            " by more than their tolerance (the first are above)."
        )
    compared = int((expected["tolerance"].notna() & expected["mean"].notna()).sum())
    return (
        f"Reproduced: {compared} numbers are within their tolerance of tests/expected/{profile}.csv (4 sd of the "
        f"difference of two runs), {same} of them to eight digits; {len(expected) - compared} more vary too much "
        f"between seeds to compare. {_report_verdicts(profile)}"
    )


def _tables(name: str) -> tuple[str, Path]:
    """The profile of `profile` or `profile-study`, and the folder of its tables."""
    profile, _, study = name.partition("-")
    return profile, ROOT / "results" / profile / ("tables" + (f"-{study}" if study else ""))


def _report_verdicts(name: str) -> str:
    path = ROOT / "tests" / "expected" / f"{name}_claims.csv"
    if not path.is_file():
        return ""
    here = tables.read(_tables(name)[1] / "claims.csv")
    both = tables.read(path).merge(here, on=["claim", "more", "less", "statistic", "forget_set", "network"])
    same = int((both["verdict_x"] == both["verdict_y"]).sum())
    return f"{same} of {len(both)} verdicts are the published ones."


def _report_choices(name: str, expected: pd.DataFrame) -> str:
    here, both = _trials(name), setting_choice.KEYS
    ours, theirs = (
        {(row.budget, row.unlearner, by): row.setting for row in table.itertuples() for by in both if getattr(row, by)}
        for table in (here, expected)
    )
    changed = sorted(place for place in theirs if ours.get(place) != theirs[place])
    if changed:
        raise InputError(f"Not reproduced: {len(changed)} of {len(theirs)} choices differ, the first {changed[0]}.")
    return f"Reproduced: all {len(theirs)} choices are the published ones."


def _experiments(name: str) -> list[Path]:
    """The tables of the experiments of `profile-study`, if it has any."""
    profile, _, study = name.partition("-")
    studies = yaml.safe_load((ROOT / "config" / "studies.yaml").read_text())["studies"]
    folder = ROOT / "results" / profile / "experiments"
    return [
        folder / f"{each}.csv" for each in studies.get(study, {}).get("experiments", {}) if not each.endswith("-tuning")
    ]


def _current(name: str) -> pd.DataFrame:
    profile, folder = _tables(name)
    if paths := _experiments(name):
        rows = pd.concat([tables.read(path) for path in paths], ignore_index=True)
        rows = rows[rows["scope"] == "all"].assign(forget_set=rows["experiment"], network="")
        return over_seeds(rows)
    return select(tables.read(folder / "summary.csv"), ROOT / "results" / profile / "data")


def _trials(name: str) -> pd.DataFrame:
    """Every setting tried at every budget, and which are chosen."""
    folder = ROOT / "results" / name.partition("-")[0] / "tuning"
    parts = []
    for budget in BUDGETS:
        if paths := sorted((folder / budget).glob("*/*/*.csv")):
            parts.append(
                setting_choice.choose(setting_choice.summarize(setting_choice.gather(paths))).assign(budget=budget)
            )
    if not parts:
        raise InputError(f"There are no trials in {folder}: run snakemake --cores 4 tune.")
    return pd.concat(parts, ignore_index=True)


def write(name: str) -> None:
    """Publish the results of `name`: expected numbers, small pictures of the figures, the tables of the READMEs."""
    folder = ROOT / "tests" / "expected"
    if name.endswith("-tuning"):
        trials = _trials(name)
        tables.write(trials.drop(columns=["cpu_seconds"]), folder / f"{name}.csv", seal=False)
        _write_choices(name, trials)
        return
    profile, results = _tables(name)
    config, rows, experiments = checked(profile), _current(name), _experiments(name)
    is_trial = config["seeds"]["unlearned"] == 1  # a trial run, which has no intervals
    if experiments:
        rows = rows.assign(tolerance=tolerance(rows["sd"], rows["n"], 0.01))
    else:
        rows = with_tolerance(rows, tables.read(folder / "digits.csv") if is_trial else None)
    tables.write(rows, folder / f"{name}.csv", seal=False)
    if not is_trial:
        for picture in sorted((ROOT / "figures" / profile).glob("*.png")):
            target = ROOT / "figures" / "expected" / profile / picture.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(picture, target)
        if not experiments:
            shutil.copyfile(results / "claims.csv", folder / f"{name}_claims.csv")
            costs = median_costs(tables.read(results / "costs.csv"))
            tables.write(costs, folder / f"{name}_costs.csv", seal=False)
        if name == profile:
            tables.write(figure_costs.measure(config), folder / f"{name}_figures.csv", seal=False)
        for place in READMES:
            readme = ROOT / place
            text = markdown.fill(readme.read_text())
            with atomic(readme) as partial:
                partial.write_text(text)


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
        "# What tuning chose, written by `python -m lfcore.publish.expected --write digits-tuning` after `snakemake",
        "# tune`, and likewise for other profiles, whose choices begin with their name.",
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
    arguments = parser.parse_args()
    try:
        if arguments.write:
            write(arguments.profile)
        else:
            print(report(arguments.profile))
    except InputError as error:
        sys.exit(f"{error}{move_aside([f'{type(error).__name__}: {error}'])}")


if __name__ == "__main__":
    main()

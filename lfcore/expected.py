"""Are these the published numbers? Compares a study's summary with `tests/expected/<name>.csv`, and writes that.

python -m lfcore.expected digits             one line: reproduced, or what differs
python -m lfcore.expected --write digits     publish the current results, and the tables of the README
python -m lfcore.expected digits-reachable   likewise for a study of the profile, and for its tuning: digits-tuning
"""

import argparse
import re
import shutil
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from lfcore import effort, studies, tables, tuning, views, workflow
from lfcore import summary as summaries
from lfcore.errors import InputError
from lfcore.failures import move_aside
from lfcore.paths import ROOT, atomic
from lfcore.studies import BUDGETS
from lfcore.summary import EXCESS
from lfcore.workflow import to_yaml

PERCENT = ["accuracy", "membership", "average_gap", "average_gap_without_mia", "affected_gap", "teacher_accuracy"]
"""Metrics in percentage points."""
ATTACKS = ["feature_mapping", "feature_mapping_linear", "head_recovery", "relearned", "linear_probe", "nonlinear_probe"]
ATTACKS += ["prototype_best", "feature_mapping_contracted", "feature_mapping_linear_contracted"]
"""What attacks recover, in percentage points; published whatever its scope, as is OTHER."""
OTHER = ["over_unlearning", "spread_ratio"]
SHARES = ["tow", "tow_mia", "lira_auc", "cka_retrained", "jensen_shannon", "membership_loss", "target_label"]
SHARES += ["target_uniform", "target_teacher", "target_model"]
METRICS = [*PERCENT, *ATTACKS, *OTHER, *SHARES, *(name + ending for name in EXCESS for ending in ("", "_excess"))]
"""What is published, beside bins and classes, which can be made again."""
READMES = ["README.md", "config/README.md", "tests/expected/README.md"]
"""The pages with tables made of what is published."""
REASON = (
    "Other processors and versions round differently, and then training is a new draw of the seeds' noise: the "
    "difference of two means over n seeds has the standard deviation sd * sqrt(2 / n), and four of those are allowed."
)


def select(summary: pd.DataFrame, data: str | Path) -> pd.DataFrame:
    """The rows of a summary that are published: whole splits, the affected class, and the test examples' ranges."""
    classes = summary["forget_set"].map(summaries.affected_classes(data, summary["forget_set"].unique()))
    whole = (summary["scope"] == "all") | ((summary["scope"] == "class") & (summary["key"] == classes))
    averaged = (summary["reference"] == "retrained_mean") & (summary["metric"] != "total_variation")
    ranges = (summary["scope"] == "range") & (summary["split"] == "test") & ~averaged
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
    percent, order = kind.isin([*PERCENT, *ATTACKS]), kind.str.contains("spearman")
    # 4 points are about what one example of a class of thirty changes when it tips over
    smallest = np.select([percent, order], [4.0, 0.1], 0.01)
    tolerance = np.maximum(4 * sd * np.sqrt(2 / rows["n"]), smallest)
    return rows.assign(tolerance=tolerance.where(tolerance <= np.where(percent, 25, 0.25)))


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
    here, both = _trials(name), tuning.KEYS
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
        return summaries.over_seeds(rows)
    return select(tables.read(folder / "summary.csv"), ROOT / "results" / profile / "data")


def _trials(name: str) -> pd.DataFrame:
    """Every setting tried at every budget, and which are chosen."""
    folder = ROOT / "results" / name.partition("-")[0] / "tuning"
    parts = []
    for budget in BUDGETS:
        if paths := sorted((folder / budget).glob("*/*/*.csv")):
            parts.append(tuning.choose(tuning.summarize(tuning.gather(paths))).assign(budget=budget))
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
    default = folder / "digits.csv"
    spread = tables.read(default) if name != "digits" and default.is_file() else None
    rows = _current(name)
    experiments = _experiments(name)
    if experiments:
        rows = rows.assign(tolerance=np.maximum(4 * rows["sd"] * np.sqrt(2 / rows["n"]), 0.01))
    else:
        rows = with_tolerance(rows, spread if (rows["n"] == 1).any() else None)
    tables.write(rows, folder / f"{name}.csv", seal=False)
    profile, results = _tables(name)
    if _config(profile)["seeds"]["unlearned"] > 1:  # one seed is a trial run, which has no intervals
        for picture in sorted((ROOT / "figures" / profile).glob("*.png")):
            target = ROOT / "figures" / "expected" / profile / picture.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(picture, target)
        if not experiments:
            shutil.copyfile(results / "claims.csv", folder / f"{name}_claims.csv")
            costs = summaries.median_costs(tables.read(results / "costs.csv"))
            tables.write(costs, folder / f"{name}_costs.csv", seal=False)
        if name == profile:
            tables.write(effort.measure(_config(name)), folder / f"{name}_figures.csv", seal=False)
        for place in READMES:
            readme = ROOT / place
            text = fill(readme.read_text())
            with atomic(readme) as partial:
                partial.write_text(text)


def _write_choices(name: str, trials: pd.DataFrame) -> None:
    """The chosen settings as configuration: by the rule, the reachable ones, and by the rule at equal steps.

    Those of another profile than the default are called `<profile>_rule` and so on, and stand beside the default's.
    """
    profile = name.partition("-")[0]
    grids = _config(profile)["tuning"]
    epochs, steps, whole = (trials[trials["budget"] == budget] for budget in BUDGETS)
    steps = steps[steps["steps"] > 0]  # all but what takes one step, or none
    matched = tuning.choices(steps, "rule", grids["grids"] | grids.get("grids_at_steps", {}))
    found = {
        "rule": tuning.choices(epochs, "rule", grids["grids"])
        | tuning.choices(whole, "rule", grids.get("grids_of_class", {})),
        "reachable": tuning.choices(epochs, "reachable", grids["grids"]),
        "matched": {method: {**options, "steps": grids["steps"]} for method, options in matched.items()},
    }
    own = "" if profile == "digits" else f"{profile}_"
    path = ROOT / "config" / "choices.yaml"
    chosen = yaml.safe_load(path.read_text())["choices"]
    chosen |= {f"{own}{by}": methods for by, methods in found.items() if methods}
    lines = [
        "# What tuning chose, written by `python -m lfcore.expected --write digits-tuning` after `snakemake tune`, and",
        "# likewise for other profiles, whose choices begin with their name.",
        "choices:",
    ]
    for by, methods in chosen.items():
        lines += [f"  {by}:", *(f"    {method}: {to_yaml(**options)}" for method, options in methods.items())]
    with atomic(path) as partial:
        partial.write_text("\n".join(lines) + "\n")


def fill(text: str) -> str:
    """`text` with each block from ``<!-- table MAKER NAME -->`` to ``<!-- end -->`` made again from tests/expected."""
    makers = {
        "claims": claims_table,
        "gaps": gaps_table,
        "locality": locality_table,
        "costs": costs_table,
        "figures": figures_table,
        "methods": methods_table,
        "class_methods": class_methods_table,
        "settings": settings_table,
        "paper": paper_table,
        "bench": bench_table,
        "faults": faults_table,
        **{panels: partial(panels_table, panels=panels) for panels in ("attacks", "blind", "residual", "language")},
    }

    def make(match: re.Match) -> str:
        return f"{match[1]}\n{makers[match[2]](match[3])}\n{match[4]}"

    return re.sub(r"(<!-- table (\w+) ([\w-]+) -->).*?(<!-- end -->)", make, text, flags=re.DOTALL)


def _published(name: str) -> pd.DataFrame:
    return tables.read(ROOT / "tests" / "expected" / f"{name}.csv")


def claims_table(name: str) -> str:
    """What the paper claims and what the published run says of it, as Markdown."""
    table = _published(f"{name}_claims")
    forget_sets = list(table["forget_set"].unique())
    lines = [_line(["claim", "by", *forget_sets]), _line(["---"] * (len(forget_sets) + 2))]
    for (text, statistic, *_), rows in table.groupby(["claim", "statistic", "more", "less"], sort=False):
        cells = {
            row.forget_set: f"**{row.verdict}** {row.mean:.3g} [{row.low:.2g}, {row.high:.2g}]"
            for row in rows.itertuples(index=False)
        }
        lines.append(_line([text, statistic, *(cells.get(name, "") for name in forget_sets)]))
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def gaps_table(name: str) -> str:
    """The columns of the paper's Tables 1 and 2 as Markdown, mean ± sd."""
    rows = _measures(name)
    measures = [name for name in summaries.PAPER if rows.loc[rows["measure"] == name, "mean"].notna().any()]
    return _markdown(rows[rows["measure"].isin(measures)], "measure", measures, _mean_sd)


def _measures(name: str) -> pd.DataFrame:
    """The published rows with the column of the paper's tables that each belongs to, as `measure`; "" for none."""
    rows = _published(name).assign(measure="")
    for name, (reference, split, metric, scope) in summaries.PAPER.items():
        found = (rows["reference"] == reference) & (rows["split"] == split) & (rows["metric"] == metric)
        rows.loc[found & (rows["scope"] == scope), "measure"] = name
    return rows


def paper_table(names: str) -> str:
    """The paper's Tables 1 and 2 above ours of the profiles `names`, joined by "-and-", mean ± sd, as Markdown.

    The paper's are in tests/expected/2605.31317.csv. A profile that was not run stands with empty rows, marked so.
    """
    paper = tables.read(ROOT / "tests" / "expected" / "2605.31317.csv")
    found = {"2605.31317": paper.set_index(["unlearner", "measure"])[["mean", "sd"]]}
    for name in names.split("-and-"):
        if (ROOT / "tests" / "expected" / f"{name}.csv").is_file():
            rows = _measures(name)
            found[name] = rows[rows["forget_set"] == "couch_half"].set_index(["unlearner", "measure"])[["mean", "sd"]]
        else:
            found[f"{name}: not run"] = paper[:0].set_index(["unlearner", "measure"])[["mean", "sd"]]
    measures = list(paper["measure"].unique())
    lines = [_line(["unlearner", "source", *measures]), _line(["---"] * (len(measures) + 2))]
    for unlearner in paper["unlearner"].unique():
        for source, rows in found.items():
            cells = [_number(*rows.loc[(unlearner, each)]) for each in measures if (unlearner, each) in rows.index]
            lines.append(_line([unlearner, source, *(cells or [""] * len(measures))]))
    return "\n".join(lines)


def _number(mean: float, sd: float) -> str:
    return f"{mean:.1f}" if np.isnan(sd) else f"{mean:.1f} ± {sd:.1f}"


def bench_table(name: str) -> str:
    """The last measurement of each thing in the history `name`.csv of the bench, as Markdown, and where it was made."""
    last = pd.read_csv(ROOT / "tests" / "expected" / f"{name}.csv", dtype={"part": str}, keep_default_na=False)
    last = last.drop_duplicates(["part", "what"], keep="last")
    head = ["part", "what", "value", "reference", "ratio", "target", "met"]
    lines = []
    for about, rows in last.groupby(["date", "commit", "machine", "cores", "load", "versions"], sort=False):
        date, commit, machine, cores, load, versions = about
        lines += [f"{date}, commit {commit}, {machine}, {cores} cores, load {load} at the start, {versions}:", ""]
        lines += [_line(head), _line(["---"] * len(head))]
        for row in rows.itertuples():
            lines.append(_line([row.part, row.what, f"{row.value} {row.unit}", *map(str, row[-4:])]))
        lines.append("")
    return "\n".join(lines).strip()


def faults_table(name: str) -> str:
    """What was tried on the workflow, how often, and what became of it, as Markdown, with a row for all together."""
    faults = pd.read_csv(ROOT / "tests" / "expected" / f"{name}.csv", keep_default_na=False)
    columns = ["fault", "tried", "survived", "lost"]
    lines = [_line(columns), _line(["---"] * len(columns))]
    return "\n".join([*lines, *(_line(map(str, row)) for row in faults[columns].itertuples(index=False))])


def settings_table(name: str) -> str:
    """For each method of a profile: the values tried of each option, and the chosen ones, as Markdown."""
    config = _config(name)
    chosen = [config["choices"].get(f"{name}_{by}", {}) for by in tuning.KEYS]
    lines = [_line(["unlearner", "fixed", "tried", *tuning.KEYS]), _line(["---"] * 5)]
    for each in config["unlearners"]:
        grid = config["tuning"]["grids"][each]
        fixed = {key: value for key, value in studies.options(config, each, "").items() if key not in grid}
        tried = "; ".join(f"{key} {', '.join(f'{value:g}' for value in values)}" for key, values in grid.items())
        lines.append(_line([each, _told(fixed), tried, *(_told(by[each]) if by else "not run" for by in chosen)]))
    return "\n".join(lines)


def panels_table(name: str, panels: str) -> str:
    """The columns of one of `lfcore.views.PANELS`, mean and 95 % interval."""
    rows = views.pick(_published(name), panels, {})
    return _markdown(rows, "panel", list(views.PANELS[panels]), _told_interval)


def _told_interval(row) -> str:
    return f"{row.mean:.3g} [{row.low:.3g}, {row.high:.3g}]"


def locality_table(name: str) -> str:
    """Where the total variation on test examples lies, and its excess over the floor, with 95 % intervals."""
    rows = summaries.locality_rows(_published(name))
    return _markdown(rows, "measure", sorted(rows["measure"].unique()), _mean_interval)


def costs_table(name: str) -> str:
    """Seconds a model: median and range."""
    costs = _named_costs(name)
    rows = costs.assign(seconds="seconds a model", median=costs["seconds"])
    return _markdown(
        rows, "seconds", ["seconds a model"], lambda row: f"{row.median:.2f} ({row.min:.2f} to {row.max:.2f})"
    )


def figures_table(name: str) -> str:
    """What each figure takes: command, minutes of all its jobs and of itself, memory and disk, as Markdown."""
    head = ["figure", "command", "jobs", "minutes from nothing", "minutes again", "memory (MB)", "disk (MB)"]
    lines = [_line(head), _line(["---"] * len(head))]
    for row in _published(f"{name}_figures").itertuples(index=False):
        command = f"`snakemake --cores 4 figures/{name}/{row.figure}.png`"
        memory = "" if np.isnan(row.memory_mb) else f"{row.memory_mb:.0f}"
        lines.append(
            _line(
                [
                    row.figure,
                    command,
                    f"{row.jobs:.0f}",
                    f"{row.minutes:.1f}",
                    f"{row.own:.2f}",
                    memory,
                    f"{row.disk_mb:.0f}",
                ]
            )
        )
    return "\n".join(lines)


def _named_costs(name: str) -> pd.DataFrame:
    costs = _published(f"{name}_costs")
    costs[["unlearner", "forget_set"]] = costs["name"].str.split(" ", expand=True).fillna("none")
    return costs


def methods_table(name: str) -> str:
    """For each method: what it reads, its options, where they come from, and what it takes, as Markdown."""
    config = _config(name)
    costs = _named_costs(name).groupby("unlearner")[["cpu_seconds", "steps", "steps_aside"]].median()
    columns = {"tuned by the rule": "rule", "reachable": "reachable", "at equal steps": "matched"}
    return _methods(config, list(config["unlearners"]), columns, "2605.31317", costs)


def class_methods_table(name: str) -> str:
    """`methods_table` for what only the studies of whole classes have, tuned on a whole class."""
    config = _config(name)
    known = studies.including(config, *config["studies"].values())
    names = list(config["tuning"]["grids_of_class"])
    published = [f"{name}-{study}" for study in ("deep", "blind")]
    costs = pd.concat([_named_costs(each) for each in published]).groupby("unlearner")
    costs = costs[["cpu_seconds", "steps", "steps_aside"]].median()
    return _methods(known, names, {"tuned by the rule": "rule"}, "its paper", costs)


def _config(name: str) -> dict:
    return workflow.check_config(workflow.read(name))


def _methods(config: dict, names: list[str], columns: dict[str, str], paper: str, costs: pd.DataFrame) -> str:
    from lfcore import unlearn

    sources = yaml.safe_load((ROOT / "config" / "sources.yaml").read_text())
    head = ["unlearner", "reads retain", "fixed", *columns, paper, "others", "why", "gradient steps", "CPU seconds"]
    lines = [_line(head), _line(["---"] * len(head))]
    for each in names:
        tuned = [config["choices"][by].get(each, {}) for by in columns.values()]
        fixed = {key: value for key, value in studies.options(config, each, "").items() if key not in tuned[0]}
        told = [_told(options) for options in (fixed, *tuned)]
        source = [sources[each][key] for key in ("paper", "others", "why")]
        took = costs.loc[each]
        steps = f"{took['steps']:.0f}" + (f" + {took['steps_aside']:.0f} (teacher)" if took["steps_aside"] else "")
        reads = "yes" if "retain" in unlearn.find(each).READS else "no"
        lines.append(_line([each, reads, *told, *source, steps, f"{took['cpu_seconds']:.2f}"]))
    return "\n".join(lines)


def _told(options: dict) -> str:
    return ", ".join(
        f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}" for key, value in options.items()
    )


def _mean_sd(row) -> str:
    return f"{row.mean:.1f} ± {row.sd:.1f}"


def _mean_interval(row) -> str:
    return f"{row.mean:.3f} [{row.low:.3f}, {row.high:.3f}]"


def _markdown(rows: pd.DataFrame, column: str, order: list[str], text) -> str:
    rows = rows.assign(text=[text(row) for row in rows.itertuples(index=False)])
    table = rows.pivot_table(index=["forget_set", "unlearner"], columns=column, values="text", aggfunc="first")
    table = table.reindex(columns=order).fillna("")
    lines = [_line(["forget set", "unlearner", *order]), _line(["---"] * (len(order) + 2))]
    lines += [_line([*names, *cells]) for names, cells in zip(table.index, table.to_numpy(), strict=True)]
    return "\n".join(lines)


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

"""Which numbers of a run are published, and where they lie. A name is that of a profile, or profile-study."""

from pathlib import Path

import pandas as pd
import yaml

from lfcore.core import tables
from lfcore.core.errors import InputError
from lfcore.core.layout import Layout, ending
from lfcore.core.paths import ROOT
from lfcore.statistics import claims, replicates, setting_choice
from lfcore.statistics.summary import EXCESS, over_seeds
from lfcore.workflow.studies import BUDGETS

PERCENT = ["accuracy", "membership", "average_gap", "average_gap_without_mia", "affected_gap", "teacher_accuracy"]
"""Metrics in percentage points."""
ATTACKS = ["feature_mapping", "feature_mapping_linear", "head_recovery", "relearned", "linear_probe", "nonlinear_probe"]
ATTACKS += ["prototype_best", "feature_mapping_contracted", "feature_mapping_linear_contracted"]
"""What attacks recover, in percentage points; published whatever its scope, as is OTHER."""
OTHER = ["over_unlearning", "spread_ratio"]
SHARES = ["tow", "tow_mia", "lira_auc", "cka_retrained", "jensen_shannon", "membership_loss", "target_label"]
SHARES += ["class_correlation", "target_uniform", "target_teacher", "target_model"]
METRICS = [*PERCENT, *ATTACKS, *OTHER, *SHARES, *(name + end for name in EXCESS for end in ("", "_excess"))]
"""What is published, beside bins and classes, which can be made again."""
BLOCKS = 10
"""The blocks that a primary claim is pooled over, at least."""
OF_RETAIN = ["total_variation", "localization", "matched_localization", "shuffled_localization"]
"""What is published, with its excess, of the ranges of retained examples; of those of test examples everything is."""


def select(summary: pd.DataFrame) -> pd.DataFrame:
    """The rows of a summary that are published: whole splits, the affected class, ranges of similarity, attacks."""
    whole = (summary["scope"] == "all") | ((summary["scope"] == "class") & (summary["key"] == summary["affected"]))
    averaged = (summary["reference"] == "retrained_mean") & (summary["metric"] != "total_variation")
    wanted = (summary["split"] == "test") | summary["metric"].str.removesuffix("_excess").isin(OF_RETAIN)
    ranges = (summary["scope"] == "range") & wanted & ~averaged
    attacks = summary["metric"].isin([*ATTACKS, *OTHER])
    chosen = summary[(whole | ranges | attacks) & summary["metric"].isin(METRICS)]
    return chosen.drop(columns="affected").reset_index(drop=True)


def folder_of(name: str) -> tuple[str, Path]:
    """The profile of `profile` or `profile-study`, and the folder of its tables."""
    profile, _, study = name.partition("-")
    return profile, ROOT / Layout(profile).tables.format(study=ending(study))


def experiments(name: str) -> list[Path]:
    """The tables of the experiments of `profile-study`, if it has any."""
    profile, _, study = name.partition("-")
    studies = yaml.safe_load((ROOT / "config" / "studies.yaml").read_text())["studies"]
    names = studies.get(study, {}).get("experiments", {})
    table = f"{Layout(profile).experiment}.csv"
    return [ROOT / table.format(experiment=each) for each in names if not each.endswith("-tuning")]


def numbers(name: str) -> pd.DataFrame:
    """The numbers of the finished run `name` that are published: a row each, with mean, sd, interval and n."""
    folder = folder_of(name)[1]
    if paths := experiments(name):
        rows = pd.concat([tables.read(path) for path in paths], ignore_index=True)
        rows = rows[rows["scope"] == "all"].assign(forget_set=rows["experiment"], network="")
        return over_seeds(rows)
    return select(tables.read(folder / "summary.csv"))


def primary(profile: str) -> pd.DataFrame | None:
    """Every primary claim of a profile: pooled over the blocks of `replicates`, or from the tables of its study.

    None unless all blocks are there. Claims of a study that was not run are left out.
    """
    table = ROOT / Layout(profile).table.format(study="{}", table="claims")
    blocks = sorted(table.parent.parent.glob(f"tables-{claims.BLOCKS}*/claims.csv"))
    if len(blocks) < BLOCKS:
        return None
    others = []
    for study in sorted({claim.study for claim in claims.read()[1]} - {""}):
        path = Path(str(table).format(ending(study)))
        if path.is_file():
            others.append(tables.read(path))
            continue
        paths = experiments(f"{profile}-{study}")
        if paths and all(path.is_file() for path in paths):
            rows = pd.concat([tables.read(path) for path in paths], ignore_index=True)
            others.append(claims.judge(rows.assign(forget_set=rows["experiment"], network=""), study))
    return replicates.collect(pd.concat([tables.read(path) for path in blocks]), pd.concat(others))


def trials(name: str) -> pd.DataFrame:
    """Every setting tried at every budget, and which are chosen."""
    folder = ROOT / Layout(name.partition("-")[0]).all_trials
    parts = []
    for budget in BUDGETS:
        if paths := sorted((folder / budget).glob("*/*/*.csv")):
            parts.append(
                setting_choice.choose(setting_choice.summarize(setting_choice.gather(paths))).assign(budget=budget)
            )
    if not parts:
        raise InputError(f"There are no trials in {folder}: run snakemake --cores 4 tuning.")
    return pd.concat(parts, ignore_index=True)

"""Choosing each method's setting, twice: without looking at retraining, and by the gap to it.

`rule` is that of 2605.31317, app. B.2: among the settings that keep more than 70 % accuracy on the retained examples of
the affected class and more than 90 % on the retain set, take the one with the lowest accuracy on the forget set; if
none keeps that much, take the highest accuracy on the retain set, and say so (`keeps` is False). It looks at no
retrained model, and rewards forgetting too much. `reachable` takes the smallest gap to retraining, the mean of the
average gap and the affected class's: what the method could reach if retraining were known, which no one may use.

A setting is tried on several forget sets and seeds of a class that no result uses: it must keep enough in the worst
case, and its forget accuracies and gaps are averaged. A setting that diverged once is out. Ties go to the first. Where
a forget set leaves no retained example of its class, or affects none, there is no such accuracy to keep.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from lfcore.core.errors import InputError
from lfcore.core.tables import read

RETAIN, RETAIN_AFFECTED = 90, 70
KEYS = ("rule", "reachable")
"""The columns that say what is chosen."""


def gather(paths: Iterable[str | Path]) -> pd.DataFrame:
    """The tables that `lfcore.stages.tune` wrote, a row a forget set, method, setting and seed."""
    return pd.concat([read(path) for path in paths], ignore_index=True)


def summarize(trials: pd.DataFrame) -> pd.DataFrame:
    """A row for each method and setting: UA, gap (means), RA, RA_aff (worst), steps, steps_aside, cpu_seconds (means).

    Diverged settings are NaN throughout.
    """
    if trials.empty:
        raise InputError("There are no trials to choose from: give the grids in the config's `tuning`.")
    affected_gap = trials["affected_gap"].fillna(trials["average_gap"])  # a random forget set has none
    by = trials.assign(gap=(trials["average_gap"] + affected_gap) / 2).groupby(
        ["unlearner", "setting", "options"], sort=False
    )
    table = by[["UA", "gap", "steps", "steps_aside", "cpu_seconds"]].agg(lambda values: values.mean(skipna=False))
    worst = by[["RA", "RA_aff"]].agg(lambda values: values.min(skipna=False))
    return table.join(worst).reset_index()[
        ["unlearner", "setting", "options", "UA", "RA", "RA_aff", "gap", "steps", "steps_aside", "cpu_seconds"]
    ]


def choose(settings: pd.DataFrame) -> pd.DataFrame:
    """`settings` (see `summarize`) with the columns `keeps`, and `rule` and `reachable`, True where it is chosen."""
    of_class = (settings["RA_aff"] > RETAIN_AFFECTED) | settings["RA_aff"].isna()
    keeps = of_class & (settings["RA"] > RETAIN)
    result = settings.assign(keeps=keeps, rule=False, reachable=False)
    for _, options in result[result["UA"].notna()].groupby("unlearner"):
        enough = options[options["keeps"]]
        best = enough["UA"].idxmin() if len(enough) else options["RA"].idxmax()
        result.loc[best, "rule"] = True
        result.loc[options["gap"].idxmin(), "reachable"] = True
    return result


def choices(settings: pd.DataFrame, by: str, grids: dict[str, dict]) -> dict[str, dict]:
    """The chosen value of each option of each method's grid. by: "rule" or "reachable"."""
    rows = settings[settings[by]]
    return {
        name: {option: json.loads(options)[option] for option in grids[name]}
        for name, options in zip(rows["unlearner"], rows["options"], strict=True)
    }


def chosen(settings: pd.DataFrame) -> pd.DataFrame:
    """The settings that either way of choosing takes, a row each, to read."""
    rows = settings[settings["rule"] | settings["reachable"]].copy()
    rows["chosen by"] = [" and ".join(by for by in KEYS if row[by]) for _, row in rows.iterrows()]
    varied = {name: _varied(part["options"]) for name, part in settings.groupby("unlearner")}
    rows["options"] = [
        ", ".join(f"{key} {value:g}" for key, value in json.loads(text).items() if key in varied[name])
        for name, text in zip(rows["unlearner"], rows["options"], strict=True)
    ]
    return rows.drop(columns=["setting", "rule", "reachable"]).set_index(["unlearner", "chosen by"])


def chosen_among(paths: Iterable[str | Path]) -> pd.DataFrame:
    """`chosen` of the tables that `lfcore.stages.tune` wrote; empty if there are none."""
    paths = list(paths)
    return chosen(choose(summarize(gather(paths)))) if paths else pd.DataFrame()


def _varied(options: Iterable[str]) -> set[str]:
    """The names of the options that are not the same in all of these settings."""
    settings = [json.loads(text) for text in options]
    return {name for name in settings[0] if len({setting[name] for setting in settings}) > 1}

"""Choosing each method's setting by one rule, which looks at no retrained model.

Among the settings that keep at least KEEP percent exact match on the unrelated samples, the one with the lowest exact
match on the targets; among equals the one that keeps most, then the first. If none keeps that much, the one that keeps
most, and `keeps` is False. All numbers are means over the tuning seeds, which no result uses; a setting that diverged
for one is out. The rule is ours, after that of 2605.31317, app. B.2.
"""

import json

import pandas as pd

KEEP = 95.0


def settings(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each method and setting: unlearner, setting (JSON), target and unrelated (exact match in percent).

    table: from `lfcore.experiments.language` with a grid.
    """
    rows = table[table["scope"] == "setting"].rename(columns={"key": "setting"})
    place = ["unlearner", "setting"]
    rows = rows[rows.groupby(place)["seed"].transform("nunique") == rows["seed"].nunique()]
    exact = rows[(rows["metric"] == "exact_match") & rows["split"].isin(["target", "unrelated"])]
    order = list(dict.fromkeys(zip(rows["unlearner"], rows["setting"], strict=True)))
    wide = exact.pivot_table(index=place, columns="split", values="value").reindex(order)
    return wide.rename_axis(index=place, columns=None).reset_index()


def choose(found: pd.DataFrame) -> pd.DataFrame:
    """`found` (see `settings`) with the columns `keeps`, and `chosen`, True for one setting of each method."""
    found = found.assign(keeps=found["unrelated"] >= KEEP, chosen=False)
    for _, options in found.groupby("unlearner", sort=False):
        enough = options[options["keeps"]]
        lowest = enough[enough["target"] == enough["target"].min()] if len(enough) else options
        found.loc[lowest["unrelated"].idxmax(), "chosen"] = True
    return found


def choices(table: pd.DataFrame) -> dict[str, dict]:
    """The chosen options of each method of a table."""
    rows = choose(settings(table)).query("chosen")
    return {name: json.loads(text) for name, text in zip(rows["unlearner"], rows["setting"], strict=True)}

"""Choosing a learning rate without looking at retraining.

The rule of 2605.31317, app. B.2: among the settings that keep more than 70 % accuracy on the retained examples of the
affected class and more than 90 % on the retain set, take the one with the lowest accuracy on the forget set; if none
keeps that much, take the highest accuracy on the retain set, and say so. Ties go to the smallest rate. With several
forget sets to tune on, a setting must keep enough on the worst of them, and its forget accuracies are averaged.
"""

import re
from pathlib import Path

import pandas as pd

from lfcore.errors import InputError
from lfcore.summary import columns

RETAIN, RETAIN_AFFECTED = 90, 70


def grid(summary: pd.DataFrame, data: str | Path) -> pd.DataFrame:
    """Columns method, lr, UA, RA, RA_aff (percent) of every unlearner called <method>_lr<rate> or <method>-lr<rate>.

    Means over seeds; over forget sets, UA is the mean and the others are the worst. data: the folder of index files.
    """
    table = columns(summary, data).groupby(["unlearner", "measure"])["mean"].agg(["mean", "min"]).unstack()
    table = pd.DataFrame({"UA": table["mean", "UA"], "RA": table["min", "RA"], "RA_aff": table["min", "RA_aff"]})
    names = {name: re.fullmatch(r"(.+?)[-_]lr([\d.e-]+)", name) for name in table.index}
    rows = [{"method": found[1], "lr": float(found[2]), **table.loc[name]} for name, found in names.items() if found]
    if not rows:
        raise InputError("No unlearner of this profile is called <method>_lr<rate>: name the settings to choose from.")
    return pd.DataFrame(rows).sort_values(["method", "lr"], ignore_index=True)


def choose(settings: pd.DataFrame) -> pd.DataFrame:
    """`settings` (see `grid`) with two columns more: whether each keeps enough, and whether the rule chooses it."""
    result = settings.assign(keeps=(settings["RA_aff"] > RETAIN_AFFECTED) & (settings["RA"] > RETAIN), chosen=False)
    for _, options in result.groupby("method"):
        enough = options[options["keeps"]]
        if len(enough):
            best = enough.sort_values(["UA", "lr"]).index[0]
        else:
            best = options.sort_values(["RA", "lr"], ascending=[False, True]).index[0]
        result.loc[best, "chosen"] = True
    return result

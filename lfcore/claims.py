"""What the papers claim, held against the published numbers. A verdict is computed, never typed."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lfcore.summary import interval


@dataclass(frozen=True)
class Claim:
    """That a statistic of one unlearner is positive: itself, or by how much another's exceeds it.

    statistic: (reference, split, metric, scope, key) as in the tidy table. `more` is the unlearner with the larger
    value; `less` the other one, or None where the statistic is already a difference.
    """

    text: str
    statistic: tuple[str, str, str, str, str]
    more: str
    less: str | None = None


_TV = ("retrained", "test", "total_variation", "range", "affected/whole")
_EXCESS = ("retrained", "test", "total_variation_excess", "range", "affected/whole")
_LOCAL = ("retrained", "test", "localization_excess", "range", "other")

CLAIMS = [
    Claim("Gradient ascent damages the affected class", _EXCESS, "ascent"),
    Claim("… by more than its BatchNorm drift alone", _TV, "ascent", "drift"),
    Claim("Random labels with the retain set damage the affected class", _EXCESS, "random_labels_retain"),
    Claim("Ascent's damage is localized among the other classes", _LOCAL, "ascent"),
    Claim("Forget-only random labels' damage is localized among the other classes", _LOCAL, "random_labels"),
    Claim("Random labels with the retain set: localized among the other classes", _LOCAL, "random_labels_retain"),
    Claim("LTD is nearer to retraining than random labels with the retain set", _TV, "random_labels_retain", "ltd"),
    Claim("LTD is nearer to retraining than ascent", _TV, "ascent", "ltd"),
    Claim("LTD is nearer to retraining than doing nothing", _TV, "original", "ltd"),
    Claim("LTD's damage is localized among the other classes", _LOCAL, "ltd"),
]
"""Of 2605.31317, on test examples, in total variation to retrained models."""


def judge(claim: Claim, rows: pd.DataFrame, forget_set: str) -> tuple[float, float, float]:
    """The number behind a claim and its 95 % interval; a difference of two unlearners gets Welch's.

    rows: the published numbers. Raises KeyError if they lack it.
    """
    place = ["forget_set", "reference", "split", "metric", "scope", "key", "unlearner"]
    table = rows.set_index(place)[["mean", "sd", "low", "high", "n"]]
    more = table.loc[(forget_set, *claim.statistic, claim.more)]
    if claim.less is None:
        return more["mean"], more["low"], more["high"]
    less = table.loc[(forget_set, *claim.statistic, claim.less)]
    errors = np.array([more["sd"] ** 2 / more["n"], less["sd"] ** 2 / less["n"]])
    freedom = errors.sum() ** 2 / (errors**2 / [more["n"] - 1, less["n"] - 1]).sum()
    difference = more["mean"] - less["mean"]
    return difference, *interval(difference, np.sqrt(errors.sum()), freedom)


def verdict(low: float, high: float) -> str:
    """What an interval says of the claim that its number is positive."""
    if low > 0:
        return "holds"
    return "the opposite holds" if high < 0 else "not shown"


def table(rows: pd.DataFrame) -> list[list[str]]:
    """A header, then a line for each claim: its text, and for each forget set the verdict, the number, its interval."""
    forget_sets = sorted(rows["forget_set"].unique())
    lines = [["claim", *forget_sets]]
    for claim in CLAIMS:
        cells = []
        for forget_set in forget_sets:
            number, low, high = judge(claim, rows, forget_set)
            cells.append(f"**{verdict(low, high)}**, {number:.3f} [{low:.3f}, {high:.3f}]")
        lines.append([claim.text, *cells])
    return lines

"""What retrained models differ by among themselves, and whether an unlearned model's number is beyond it.

The floor: each retrained model in the place of the unlearned one, against the other R - 1. Let s be the standard
deviation of those R values. They share models: each is compared with the others and they with it, so s is too small
for a new model by (R - 2) / (R - 1) where the statistic is symmetric in the two models (distances), and too large by
R / (R - 1) where it is a difference of the two (damage); it is corrected by that. One more retrained model would lie
within mean ± t_{R-1} s sqrt(1 + 1/R) with 95 % (`floor_low`, `floor_high`). One unlearned model is one draw: its own
spread is taken to be a retrained model's. Of several, the spread is theirs, and the test is Welch's. With fewer than
three retrained models there is no s, and no verdict.

The smallest value that a question would have told from retraining (`detectable`) is the floor plus the standard error
times Student's t at the level that Holm leaves it, given the other questions' p. Where even the largest value that is
possible (`largest`; of damage, the references' own confidence) is smaller, the question cannot be answered.
"""

import numpy as np
import pandas as pd
from scipy.stats import t as student

from lfcore.statistics.claims import ALPHA
from lfcore.statistics.summary import interval

SYMMETRIC = {"distance", "near_minus_far", "matched", "less_random_sets"}
"""Statistics made of distances between two models; the others are differences of two models' numbers."""
POSSIBLE = {
    "damage": (-1, 1),
    "lost_accuracy": (-1, 1),
    "distance": (0, 1),
    "near_minus_far": (-1, 1),
    "matched": (-1, 1),
    "less_random_sets": (-2, 2),
}
"""Between which numbers each statistic lies."""


def compare(values: np.ndarray, floor: np.ndarray, *, symmetric: bool) -> dict[str, float]:
    """One statistic of the unlearned models (U,) beside the floor's values (R,): see the top of this file.

    Returns low and high (Student's, over U >= 2 models), floor, floor_low, floor_high, p (two-sided), and the standard
    error and degrees of freedom of the test; NaN where undefined.
    """
    own, r = len(values), len(floor)
    center = (floor.mean() if symmetric else 0.0) if r else np.nan  # differences of all pairs, both ways, cancel
    spread = np.nan
    if r > 2:
        spread = floor.std(ddof=1) * ((r - 1) / (r - 2) if symmetric else (r - 1) / r)
    low, high = interval(values.mean(), values.std(ddof=1) / np.sqrt(own), own - 1) if own > 1 else (np.nan, np.nan)
    floor_low, floor_high = interval(center, spread * np.sqrt(1 + 1 / r) if r else np.nan, r - 1)
    parts = (spread**2 if own == 1 else values.var(ddof=1)) / own, spread**2 / max(r, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = r - 1 if own == 1 else sum(parts) ** 2 / (parts[0] ** 2 / (own - 1) + parts[1] ** 2 / (r - 1))
        error = np.sqrt(sum(parts))
        gap = abs(values.mean() - center)
        p = 1.0 if gap == 0 == error else 2 * student.sf(gap / error, freedom)  # 1: all agree to the last bit
    names = ("low", "high", "floor", "floor_low", "floor_high", "p", "error", "freedom")
    return dict(zip(names, map(float, (low, high, center, floor_low, floor_high, p, error, freedom)), strict=True))


def clip(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its floors and intervals cut to what is possible: Student's intervals know no bounds."""
    least, most = (table["statistic"].map({name: ends[i] for name, ends in POSSIBLE.items()}) for i in (0, 1))
    columns = ("low", "high", "floor_low", "floor_high")
    return table.assign(**{name: table[name].clip(least, most) for name in columns})


def detect(p: np.ndarray, error: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """How far from its floor each question's number must be for Holm's procedure to tell it, given the others' p.

    With k of the others' hypotheses rejected before it, of m in all, a question is told if its own p < ALPHA / (m - k).
    """
    found = np.full(len(p), np.nan)
    for i in np.flatnonzero(~np.isnan(p)):
        others = np.sort(np.delete(p, i)[~np.isnan(np.delete(p, i))])
        kept = np.flatnonzero(others >= ALPHA / np.arange(len(others) + 1, 1, -1))
        rejected = kept[0] if len(kept) else len(others)
        found[i] = student.isf(ALPHA / (len(others) + 1 - rejected) / 2, freedom[i]) * error[i]
    return found

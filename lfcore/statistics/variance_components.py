"""Two axes of chance: the training of the original, and the randomness of unlearning it.

A method runs D times from each of S originals (the option `draw`; the method itself is draw 0). For a statistic x of
original s and draw d, x_sd = mu + a_s + e_sd, and

    within  = the mean over s of the variance of x_sd over d               (unlearning)
    between = the variance over s of the means over d, less within / D     (training; 0 if negative)

the usual estimates of a balanced one-way random-effects model. The interval is a hierarchical bootstrap's: originals
are drawn with replacement, then draws within each.
"""

import numpy as np
import pandas as pd

from lfcore.core.errors import InputError
from lfcore.core.seeds import number
from lfcore.core.tables import PLACE, where
from lfcore.statistics.summary import interval


def matrix(values: pd.DataFrame) -> np.ndarray:
    """A statistic as (originals, draws), from rows with the columns seed, draw and value."""
    wide = values.pivot_table(index="seed", columns="draw", values="value")
    if wide.isna().to_numpy().any() or wide.shape[0] < 2 or wide.shape[1] < 2:
        raise InputError("Two axes of chance need two or more draws of every one of two or more originals.")
    return wide.to_numpy()


def components(x: np.ndarray) -> tuple[float, float]:
    """Standard deviations between originals and within them, from x (originals, draws)."""
    within = x.var(axis=1, ddof=1).mean()
    between = x.mean(axis=1).var(ddof=1) - within / x.shape[1]
    return float(np.sqrt(max(between, 0.0))), float(np.sqrt(within))


def bootstrap(x: np.ndarray, *, repetitions: int = 10_000, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """The percentile interval of the mean of x (originals, draws) under the hierarchical bootstrap."""
    random = np.random.default_rng(number(seed, "draws", "bootstrap"))
    originals, draws = x.shape
    rows = random.integers(originals, size=(repetitions, originals, 1))
    columns = random.integers(draws, size=(repetitions, originals, draws))
    means = x[rows, columns].mean(axis=(1, 2))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def axes(measurements: pd.DataFrame, statistics: dict[str, tuple]) -> pd.DataFrame:
    """For each forget set, method with draws, and statistic: the mean, both intervals, and both standard deviations.

    statistics: name to (reference, split, metric, scope, key). `low` and `high` are Student's interval of draw 0 alone,
    as in every other table; `boot_low` and `boot_high` the hierarchical bootstrap's over all draws.
    """
    found = measurements["unlearner"].str.extract(r"^(?P<method>\w+)(?:-draw(?P<draw>\d+))?$")
    rows = measurements.assign(method=found["method"], draw=pd.to_numeric(found["draw"]).fillna(0))
    several = rows.loc[rows["draw"] > 0, "method"].unique()
    results = []
    for (forget_set, method), part in rows[rows["method"].isin(several)].groupby(["forget_set", "method"], sort=False):
        for name, place in statistics.items():
            chosen = where(part, **dict(zip(PLACE, place, strict=True)))
            chosen = chosen[chosen["seed"].astype(str).str.fullmatch(r"\d+")]
            x = matrix(chosen)
            first = x[:, 0]
            ends = interval(first.mean(), first.std(ddof=1) / np.sqrt(len(first)), len(first) - 1)
            results.append([forget_set, method, name, x.mean(), *ends, *bootstrap(x), *components(x)])
    names = ["forget_set", "method", "statistic", "mean", "low", "high", "boot_low", "boot_high", "between", "within"]
    return pd.DataFrame(results, columns=names)

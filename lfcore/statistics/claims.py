"""What 2605.31317 claims, and what this run says of it. A verdict is computed, never typed."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t as student

from lfcore.core.tables import FLOOR, PLACE, where
from lfcore.statistics.summary import interval, welch

STATISTICS = {
    "damage": ("retrained", "test", "confidence_gap", "range", "affected/whole"),
    "distance": ("retrained", "test", "total_variation", "range", "affected/whole"),
    "near - far": ("retrained", "test", "localization", "range", "other"),
    "matched": ("retrained", "test", "matched_localization", "range", "other"),
    "random sets": ("retrained", "test", "shuffled_localization", "range", "other"),
    "rank": ("retrained", "test", "spearman", "range", "other"),
    "rank within": ("retrained", "test", "spearman", "range", "affected"),
    "rank within, given margin": ("retrained", "test", "partial_spearman", "range", "affected"),
    "average gap": ("retrained", "all", "average_gap", "all", ""),
    "affected gap": ("retrained", "all", "affected_gap", "all", ""),
}
"""(reference, split, metric, scope, key) of the tidy table.

damage: confidence in the true class that retraining keeps and unlearning destroyed, in the affected class.
distance: total variation to retraining, in the affected class; doing nothing is at a distance too.
near - far: total variation of the nearest fifth of the other classes less their farthest half; matched: less that of
far examples which were as hard; random sets: the same around random sets of train examples, on average.
rank: Spearman correlation of similarity and excess total variation among the other classes; rank within: in the
affected class; given margin: with the original margin regressed out.
The gaps are in percentage points, of each seed.
"""
PAPERS = ["ascent", "random_labels_retain", "fine_tuning", "salun", "influence", "amun"]
"""The baselines of the paper's tables."""
ALPHA = 0.05


@dataclass(frozen=True)
class Claim:
    """That a statistic is larger for the unlearner `more` than for `less`; `less` may be the floor.

    minus: another statistic, of the same models, to take off first.
    """

    text: str
    statistic: str
    more: str
    less: str = FLOOR
    minus: str = ""

    @property
    def by(self) -> str:
        """What the claim is about, for tables."""
        return f"{self.statistic}, less {self.minus}" if self.minus else self.statistic


CLAIMS = [
    *(Claim(f"{name} damages the affected class", "damage", name) for name in ["random_labels", *PAPERS, "ltd"]),
    Claim("ascent damages it more than BatchNorm drift alone", "damage", "ascent", "drift"),
    *(Claim(f"ltd damages it less than {name}", "damage", name, "ltd") for name in PAPERS),
    *(Claim(f"ltd has a smaller average gap than {name}", "average gap", name, "ltd") for name in PAPERS),
    *(Claim(f"ltd has a smaller affected gap than {name}", "affected gap", name, "ltd") for name in PAPERS),
    Claim("ltd is nearer to retraining than doing nothing", "distance", "original", "ltd"),
    Claim("ltd has a smaller average gap than doing nothing", "average gap", "original", "ltd"),
    Claim("ltd has a smaller affected gap than doing nothing", "affected gap", "original", "ltd"),
    *(
        Claim(f"{name}: {text}", statistic, name, minus=minus)
        for name in ["ascent", "random_labels", "random_labels_retain", "salun", "ltd"]
        for text, statistic, minus in [
            ("more change near the forget set, among other classes", "near - far", ""),
            ("… than in far examples that were as hard", "matched", ""),
            ("… than near random sets", "near - far", "random sets"),
            ("… by rank", "rank", ""),
            ("… by rank, within the affected class", "rank within", ""),
            ("… and given how hard they were", "rank within, given margin", ""),
        ]
    ),
]


def judge(measurements: pd.DataFrame) -> pd.DataFrame:
    """Every claim on every forget set and network of the tidy table, with number, interval, p-values and verdict.

    Against the floor the two sets of seeds are independent, and the interval is Welch's. Two unlearners start from the
    same originals, seed by seed, so the interval is Student's of their paired differences. `p` is two-sided; `p_holm`
    is adjusted over all claims of the table (Holm, 1979), so that the chance of one false "holds" or "holds beyond
    the floor" among them is ALPHA. `own_low` and `own_high` are the interval of the statistic itself, without the
    floor, and not adjusted. A claim about an unlearner that the table lacks is left out.
    """
    rows = []
    for (forget_set, network), part in measurements.groupby(["forget_set", "network"]):
        for claim in CLAIMS:
            more, less = (_seeds(part, claim.statistic, name) for name in (claim.more, claim.less))
            if claim.minus:
                more, less = (
                    (values - _seeds(part, claim.minus, name)).dropna()
                    for values, name in ((more, claim.more), (less, claim.less))
                )
            if len(more) and len(less):
                numbers = _compare(more, less, paired=claim.less != FLOOR)
                own = _mean(more.to_numpy())[1:3] if claim.less == FLOOR else (np.nan, np.nan)
                names = [claim.text, claim.by, claim.more, claim.less, forget_set, network]
                rows.append([*names, *numbers, *own])
    names = ["claim", "statistic", "more", "less", "forget_set", "network"]
    table = pd.DataFrame(rows, columns=[*names, "mean", "low", "high", "p", "own_low", "own_high"])
    table["p_holm"] = holm(table["p"].to_numpy(dtype=float))
    table["verdict"] = [
        verdict(row.mean, row.p_holm, row.own_low, floor=row.less == FLOOR) for row in table.itertuples(index=False)
    ]
    return table


def _seeds(part: pd.DataFrame, statistic: str, unlearner: str) -> pd.Series:
    """The statistic of each seed of one unlearner."""
    place = dict(zip(PLACE, STATISTICS[statistic], strict=True))
    return where(part, unlearner=unlearner, **place).set_index("seed")["value"].sort_index()


def _mean(values: np.ndarray) -> tuple[float, float, float, float]:
    """Mean, Student's interval, and the two-sided p-value of its being 0."""
    n = len(values)
    error = values.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        p = 2 * student.sf(abs(values.mean() / error), n - 1) if n > 1 else np.nan
    return values.mean(), *interval(values.mean(), error, n - 1), p


def _compare(more: pd.Series, less: pd.Series, *, paired: bool) -> tuple[float, float, float, float]:
    if paired:
        return _mean((more - less).to_numpy())
    numbers = [(values.mean(), values.std(), len(values)) for values in (more, less)]
    difference, _, low, high = welch(*numbers[0], *numbers[1])
    parts = [sd**2 / n for _, sd, n in numbers]
    with np.errstate(invalid="ignore", divide="ignore"):
        freedom = sum(parts) ** 2 / sum(part**2 / (n - 1) for part, (_, _, n) in zip(parts, numbers, strict=True))
        p = 2 * student.sf(abs(difference) / np.sqrt(sum(parts)), freedom)
    return difference, low, high, p


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's adjusted p-values; NaN stays NaN and counts for nothing."""
    adjusted, known = np.full(len(p), np.nan), np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1) if len(order) else steps
    return adjusted


def verdict(mean: float, p_holm: float, own_low: float, *, floor: bool) -> str:
    """What the numbers say of the claim that a difference is positive, with all the other claims in mind.

    floor: whether the difference is to the floor. Then the statistic itself, of which `own_low` is the lower end, may
    be above zero without being above what retrained models differ by.
    """
    if np.isnan(p_holm):
        return "no interval"
    if p_holm < ALPHA:
        return ("holds beyond the floor" if floor else "holds") if mean > 0 else "does not hold, the opposite does"
    return "not shown beyond the floor" if floor and own_low > 0 else "not shown"

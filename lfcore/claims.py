"""What 2605.31317 claims, and what this run says of it. A verdict is computed, never typed."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lfcore.summary import interval, welch

FLOOR = "retrained"
STATISTICS = {
    "damage": ("retrained", "test", "confidence_gap", "range", "affected/whole"),
    "distance": ("retrained", "test", "total_variation", "range", "affected/whole"),
    "near - far": ("retrained", "test", "localization", "range", "other"),
    "rank": ("retrained", "test", "spearman", "range", "other"),
    "average gap": ("retrained", "all", "average_gap", "all", ""),
    "affected gap": ("retrained", "all", "affected_gap", "all", ""),
}
"""(reference, split, metric, scope, key) of the tidy table.

damage: confidence in the true class that retraining keeps and unlearning destroyed, in the affected class.
distance: total variation to retraining, in the affected class; doing nothing is at a distance too.
near - far: total variation of the nearest fifth of the other classes less their farthest half.
rank: Spearman correlation of similarity and excess total variation among the other classes.
The gaps are in percentage points, of each seed.
"""


@dataclass(frozen=True)
class Claim:
    """That a statistic is larger for the unlearner `more` than for `less`; `less` may be the floor."""

    text: str
    statistic: str
    more: str
    less: str = FLOOR


CLAIMS = [
    Claim("Ascent damages the affected class", "damage", "ascent"),
    Claim("… more than BatchNorm drift alone", "damage", "ascent", "drift"),
    Claim("Forget-only random labels damage the affected class", "damage", "random_labels"),
    Claim("Random labels with the retain set damage the affected class", "damage", "random_labels_retain"),
    Claim("Fine-tuning damages the affected class", "damage", "fine_tuning"),
    Claim("LTD damages the affected class", "damage", "ltd"),
    Claim("LTD damages it less than random labels with the retain set", "damage", "random_labels_retain", "ltd"),
    Claim("LTD damages it less than ascent", "damage", "ascent", "ltd"),
    Claim(
        "LTD is nearer to retraining than random labels with the retain set", "distance", "random_labels_retain", "ltd"
    ),
    Claim("LTD is nearer to retraining than doing nothing", "distance", "original", "ltd"),
    Claim("… in the average gap", "average gap", "original", "ltd"),
    Claim("… in the affected class's gap", "affected gap", "original", "ltd"),
    Claim("Among the other classes, ascent's damage is localized", "near - far", "ascent"),
    Claim("… by rank", "rank", "ascent"),
    Claim("… forget-only random labels' damage is localized", "near - far", "random_labels"),
    Claim("… by rank", "rank", "random_labels"),
    Claim("… random labels' with the retain set is localized", "near - far", "random_labels_retain"),
    Claim("… by rank", "rank", "random_labels_retain"),
    Claim("… LTD's is localized", "near - far", "ltd"),
    Claim("… by rank", "rank", "ltd"),
]


def judge(measurements: pd.DataFrame) -> pd.DataFrame:
    """Every claim on every forget set and network of the tidy table: number, 95 % interval over seeds, verdict.

    Against the floor the two sets of seeds are independent, and the interval is Welch's. Two unlearners start from the
    same originals, seed by seed, so the interval is Student's of their paired differences. A claim about an unlearner
    that the table lacks is left out.
    """
    rows = []
    for (forget_set, network), part in measurements.groupby(["forget_set", "network"]):
        for claim in CLAIMS:
            more, less = (_seeds(part, claim.statistic, name) for name in (claim.more, claim.less))
            if len(more) and len(less):
                number, low, high = _compare(more, less, paired=claim.less != FLOOR)
                rows.append(
                    [claim.text, claim.statistic, claim.more, claim.less, forget_set, network, number, low, high]
                )
    names = ["claim", "statistic", "more", "less", "forget_set", "network", "mean", "low", "high"]
    table = pd.DataFrame(rows, columns=names)
    table["verdict"] = [verdict(low, high) for low, high in zip(table["low"], table["high"], strict=True)]
    return table


def _seeds(part: pd.DataFrame, statistic: str, unlearner: str) -> pd.Series:
    """The statistic of each seed of one unlearner."""
    wanted = dict(zip(("reference", "split", "metric", "scope", "key"), STATISTICS[statistic], strict=True))
    for column, value in {**wanted, "unlearner": unlearner}.items():
        part = part[part[column] == value]
    return part.set_index("seed")["value"].sort_index()


def _compare(more: pd.Series, less: pd.Series, *, paired: bool) -> tuple[float, float, float]:
    if paired:
        difference = (more - less).to_numpy()
        error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else np.nan
        return difference.mean(), *interval(difference.mean(), error, len(difference) - 1)
    numbers = [(values.mean(), values.std(), len(values)) for values in (more, less)]
    difference, _, low, high = welch(*numbers[0], *numbers[1])
    return difference, low, high


def verdict(low: float, high: float) -> str:
    """What an interval says of the claim that its number is positive."""
    if np.isnan(low):
        return "no interval"
    if low > 0:
        return "holds"
    return "the opposite holds" if high < 0 else "not shown"

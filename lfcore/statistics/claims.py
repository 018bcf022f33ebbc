"""What the four papers claim, and what this run says of it. A verdict is computed, never typed.

The *primary* claims are those of config/claims.yaml: they are few, they were written before the numbers, and only they
get verdicts. What is *exploratory* has a number and its interval over seeds.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as student

from lfcore.core.errors import InputError
from lfcore.core.paths import ROOT
from lfcore.core.tables import FLOOR, PLACE, where
from lfcore.statistics.summary import interval, welch

PRIMARY = ROOT / "config" / "claims.yaml"
CONTROLS = {
    "random sets": ("retrained", "test", "shuffled_localization", "range", "other"),
    "rank": ("retrained", "test", "spearman", "range", "other"),
    "rank within": ("retrained", "test", "spearman", "range", "affected"),
    "rank within, given margin": ("retrained", "test", "partial_spearman", "range", "affected"),
}
"""Statistics of exploratory claims alone, as (reference, split, metric, scope, key) of the tidy table.

random sets: near - far around random sets of train examples, on average. rank: Spearman correlation of similarity and
excess total variation among the other classes; rank within: in the affected class; given margin: with the original
margin regressed out. The primary claims' statistics are in config/claims.yaml.
"""
PAPERS = ["ascent", "random_labels_retain", "fine_tuning", "salun", "influence", "amun"]
"""The baselines of the paper's tables."""
ALPHA = 0.05
FLOORS = (FLOOR, "influence_free")
"""What is the floor: of a forget set, and of an experiment."""
BLOCKS, CLASSES = "replicates", "classes"
AGAIN = (BLOCKS, CLASSES)
"""The studies that ask the profile's own claims again: in blocks of fresh models, and of every class."""
BLOCK = r"_b\d+$"
"""What the name of a forget set ends in, in a block of fresh models: the same rows, other seeds."""


@dataclass(frozen=True)
class Claim:
    """That a statistic is larger for the unlearner `more` than for `less`; `less` may be the floor.

    minus: another statistic, of the same models, to take off first. Of primary claims also: id; study, that holds both;
    forget_sets, or experiments; less_forget_set, less_statistic, where these differ from `more`'s.
    """

    text: str
    statistic: str
    more: str
    less: str = FLOOR
    minus: str = ""
    id: str = ""
    study: str = ""
    forget_sets: tuple[str, ...] = ()
    less_forget_set: str = ""
    less_statistic: str = ""

    @property
    def by(self) -> str:
        """What the claim is about, for tables."""
        by = f"{self.statistic}, less {self.minus}" if self.minus else self.statistic
        beside = ", ".join(filter(None, (self.less_statistic, self.less_forget_set)))
        return f"{by} beside {beside}" if beside else by

    @property
    def to_floor(self) -> bool:
        """Whether `less` is the floor: retrained models that share nothing with the originals."""
        return self.less in FLOORS


EXPLORATORY = [
    *(Claim(f"{name} damages the affected class", "damage", name) for name in ["random_labels", *PAPERS, "ltd"]),
    Claim("ascent damages it more than BatchNorm drift alone", "damage", "ascent", "drift"),
    *(Claim(f"ltd damages it less than {name}", "damage", name, "ltd") for name in PAPERS),
    *(Claim(f"ltd is nearer to retraining than {name}", "distance", name, "ltd") for name in ["original", *PAPERS]),
    *(
        Claim(f"ltd has a smaller average gap than {name}", "average gap", name, "ltd")
        for name in ["original", *PAPERS]
    ),
    *(
        Claim(f"ltd has a smaller gap in the class than {name}", "affected gap", name, "ltd")
        for name in ["original", *PAPERS]
    ),
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


@cache
def read(path: str | Path = PRIMARY) -> tuple[dict[str, tuple], list[Claim]]:
    """The statistics and the primary claims of a file as config/claims.yaml. Raises InputError for a wrong entry."""
    import yaml

    given = yaml.safe_load(Path(path).read_text())
    statistics = {name: tuple(place) for name, place in given["statistics"].items()}
    found = []
    for entry in given["claims"]:
        name = f"The claim {entry.get('id', entry)} of {Path(path).name}"
        lacking = {"id", "text", "statistic", "more", "less", "forget_sets"} - set(entry)
        unknown = set(entry) - set(Claim.__dataclass_fields__)
        if lacking | unknown:
            raise InputError(f"{name} lacks {sorted(lacking)} or has {sorted(unknown)} too many: see the file's head.")
        for key in ("statistic", "less_statistic"):
            if entry.get(key, "damage") not in statistics:
                raise InputError(f"{name} names no known {key}: choose one of {', '.join(statistics)}.")
        found.append(Claim(**entry | {"id": str(entry["id"]), "forget_sets": tuple(entry["forget_sets"])}))
    if len({claim.id for claim in found}) < len(found):
        raise InputError(f"Two claims of {Path(path).name} have one id: give each its own.")
    return statistics, found


def places() -> dict[str, tuple]:
    """Where each statistic stands: (reference, split, metric, scope, key) of the tidy table, by its name."""
    return read()[0] | CONTROLS


def judge(measurements: pd.DataFrame, study: str = "") -> pd.DataFrame:
    """Every claim on every forget set and network of the tidy table, with number, interval, p-values and verdict.

    study: whose table it is; a primary claim counts in its own study, and those of the profile's own in AGAIN too: in
    blocks on forget sets of the same rows, and on each of several classes. An experiment stands in the column
    forget_set.

    Against the floor the two sets of seeds are independent, and the interval is Welch's. Two unlearners start from the
    same originals, seed by seed, so the interval is Student's of their paired differences. All are over seeds, given
    one set of reference models and one test set. `p` is two-sided; `p_holm` is adjusted over the primary claims of the
    table (Holm, 1979), which alone have a verdict; `id` is empty for the others. `own_low` and `own_high` are the
    interval of the statistic itself, without the floor. A claim about an unlearner that the table lacks is left out.
    """
    primary, where_of, rows = read()[1], places(), []
    for column, position in (("metric", 2), ("scope", 3)):  # most rows are of no claim
        measurements = measurements[measurements[column].isin({place[position] for place in where_of.values()})]
    again = study.startswith(AGAIN)
    mine = [claim for claim in primary if claim.study == ("" if again else study)]
    for (forget_set, network), part in measurements.groupby(["forget_set", "network"], dropna=False):
        base = re.sub(BLOCK, "", forget_set)
        for claim in [*(claim for claim in mine if base in claim.forget_sets or study == CLASSES), *EXPLORATORY]:
            other = measurements[measurements["forget_set"] == claim.less_forget_set] if claim.less_forget_set else part
            more = _seeds(part, where_of, claim.statistic, claim.more)
            less = _seeds(other, where_of, claim.less_statistic or claim.statistic, claim.less)
            if claim.minus:
                minus = (_seeds(part, where_of, claim.minus, name) for name in (claim.more, claim.less))
                more, less = ((one - two).dropna() for one, two in zip((more, less), minus, strict=True))
            if len(more) and len(less):
                paired = not claim.to_floor and not claim.less_forget_set
                numbers = _compare(*_alike(more, less), paired=paired)
                own = mean_interval(more.to_numpy())[1:3] if claim.to_floor else (np.nan, np.nan)
                names = [claim.id, claim.text, claim.by, claim.more, claim.less, forget_set, network]
                rows.append([*names, *numbers, *own])
    names = ["id", "claim", "statistic", "more", "less", "forget_set", "network"]
    table = pd.DataFrame(rows, columns=[*names, "mean", "low", "high", "p", "own_low", "own_high"])
    table["p_holm"] = holm(table["p"].where(table["id"] != "").to_numpy(dtype=float))
    table["verdict"] = [
        verdict(row.mean, row.p_holm, row.own_low, floor=row.less in FLOORS) if row.id else ""
        for row in table.itertuples(index=False)
    ]
    return table


def without_unit(table: pd.DataFrame, unit: str = "block") -> pd.DataFrame:
    """`table` with what is counted taken out of the names of its forget sets.

    unit: "block", so that a forget set has the name of the one whose rows it holds; "class", so that all have one name.
    """
    if unit == "class":
        return table.assign(forget_set="each class")
    return table.assign(forget_set=table["forget_set"].str.replace(BLOCK, "", regex=True))


def _seeds(part: pd.DataFrame, places: dict[str, tuple], statistic: str, unlearner: str) -> pd.Series:
    """The statistic of each seed of one unlearner; one of all seeds together has the seed ""."""
    place = dict(zip(PLACE, places[statistic], strict=True))
    return where(part, unlearner=unlearner, **place).set_index("seed")["value"].sort_index()


def _alike(more: pd.Series, less: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Both series, of which one that has a single value for all seeds gets it for each seed of the other."""
    if list(more.index) == [""]:
        more = pd.Series(more.iloc[0], index=less.index)
    if list(less.index) == [""]:
        less = pd.Series(less.iloc[0], index=more.index)
    return more, less


def mean_interval(values: np.ndarray) -> tuple[float, float, float, float]:
    """Mean, Student's interval, and the two-sided p-value of its being 0."""
    n = len(values)
    error = values.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        p = 2 * student.sf(abs(values.mean() / error), n - 1) if n > 1 else np.nan
    return values.mean(), *interval(values.mean(), error, n - 1), p


def _compare(more: pd.Series, less: pd.Series, *, paired: bool) -> tuple[float, float, float, float]:
    if paired:
        return mean_interval((more - less).to_numpy())
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

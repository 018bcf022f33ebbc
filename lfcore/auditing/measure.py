"""From the numbers of each example to tables: by class, by bin, and six questions with their floor.

A statistic of a model is a mean, over some examples, of its `damage` (confidence in the true class that retrained
models keep and it lost), `lost_accuracy` or `distance` (total variation), each averaged over the R retrained models;
or of the distances' mean over the nearest fifth of examples less the farthest half (`near_minus_far`; `matched`: less
far examples that were as hard; `less_random_sets`: less the same around random sets). Definitions:
`lfcore.metrics.discrepancy`, `matched` and `shuffled`.

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
from scipy.stats import rankdata
from scipy.stats import t as student

from lfcore.auditing.collect import Collected
from lfcore.core.seeds import number
from lfcore.geometry.locality import far, near
from lfcore.geometry.similarity import equal_count_bins
from lfcore.metrics.matched import match
from lfcore.statistics.claims import ALPHA, holm
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
UNANSWERED = "cannot be answered"
MOST = (2000, 5000)
"""Near and far examples that are matched at most; of more, so many are drawn."""


def split_rows(collected: Collected, forget: np.ndarray, test: np.ndarray | None) -> dict[str, np.ndarray]:
    """Rows of "forget", "retain" and "test"; without known test rows of "forget" and "rest"."""
    chosen = np.zeros(len(collected.labels), dtype=bool)
    chosen[forget] = True
    if test is None:
        return {"forget": forget, "rest": np.flatnonzero(~chosen)}
    chosen[test] = True
    return {"forget": forget, "retain": np.flatnonzero(~chosen), "test": test}


def of_classes(collected: Collected, rows: np.ndarray, affected: int) -> dict[str, np.ndarray]:
    """These rows three times: all, of the affected class only, of other classes only."""
    of_class = collected.labels[rows] == affected
    return {"all": rows, "affected": rows[of_class], "other": rows[~of_class]}


def _contrasts(collected: Collected, rows: np.ndarray, seed: int) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """For each statistic of locality the pairs (rows, rows) whose mean distances are subtracted, averaged over pairs.

    `less_random_sets` is near minus far less the mean over the random sets, so its later pairs count negatively.
    """
    if len(rows) < 5:
        return {}
    similarity = collected.similarity[rows]
    close, distant = near(similarity), far(similarity)
    hard = rankdata(np.column_stack([collected.margin[rows], collected.variance[rows]]), axis=0) / len(rows)
    draw = np.random.default_rng(number(seed, "audit", "matched"))
    some = [
        np.sort(draw.choice(len(part), most, replace=False)) if len(part) > most else np.arange(len(part))
        for part, most in zip((close, distant), MOST, strict=True)
    ]
    tried, pool = close[some[0]], distant[some[1]]
    chosen, matches = match(hard[tried], hard[pool])
    found = {"near_minus_far": [(rows[close], rows[distant])]}
    if len(chosen):
        found["matched"] = [(rows[tried[chosen]], rows[pool[matches]])]
    random = [(rows[near(values[rows])], rows[far(values[rows])]) for values in collected.random]
    found["less_random_sets"] = [*found["near_minus_far"], *random]
    return found


def _values(collected: Collected, rows: np.ndarray, contrasts: dict, name: str) -> dict[str, float]:
    """Every statistic of one model on these rows."""
    distance = collected.distance[name]
    found = {
        "damage": collected.damage(name, rows).mean(),
        "lost_accuracy": collected.lost(name, rows).mean(),
        "distance": distance[rows].mean(dtype=np.float64),
    }
    for statistic, pairs in contrasts.items():
        gaps = [distance[a].mean(dtype=np.float64) - distance[b].mean(dtype=np.float64) for a, b in pairs]
        found[statistic] = gaps[0] - (np.mean(gaps[1:]) if len(gaps) > 1 else 0.0)
    return found


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


def measure_statistics(collected: Collected, splits: dict, affected: int, seed: int) -> pd.DataFrame:
    """A row for each statistic on each split, of all, affected and other classes, with its floor."""
    table = []
    for split, chosen in splits.items():
        for classes, rows in of_classes(collected, chosen, affected).items():
            if not len(rows):
                continue
            contrasts = {} if split == "forget" else _contrasts(collected, rows, seed)
            found = {name: _values(collected, rows, contrasts, name) for name in collected.names}
            for statistic in found[collected.unlearned[0]]:
                values = np.array([found[name][statistic] for name in collected.unlearned])
                floor = np.array([found[name][statistic] for name in collected.references if collected.others(name)])
                row = {"split": split, "classes": classes, "statistic": statistic, "examples": len(rows)}
                row |= {"unlearned": values.mean(), "original": found[collected.names[0]][statistic]}
                row["largest"] = _largest(collected, rows, statistic)
                table.append(row | compare(values, floor, symmetric=statistic in SYMMETRIC))
    return pd.DataFrame(table)


def _largest(collected: Collected, rows: np.ndarray, statistic: str) -> float:
    """The largest value possible: of damage, that of a model that lost all confidence in the true class of the rows."""
    if statistic == "damage":
        return float(
            np.mean([collected.confidence[name][rows].mean(dtype=np.float64) for name in collected.references])
        )
    return float(POSSIBLE[statistic][1])


def answer(statistics: pd.DataFrame, main: str) -> pd.DataFrame:
    """The six questions: their rows of `statistics`, with Holm's p and a verdict. main: the split they are about.

    detectable: the smallest number that would have been told from retraining.
    verdict: "more than retraining", "less than retraining", "no more than retraining", "cannot be answered" where no
    model could have been told to be worse (of the forget examples: nor the original to be surer), or "withheld"
    without a p.
    """
    asked = [("forget", "all", "damage"), (main, "affected", "damage"), (main, "other", "damage")]
    asked += [(main, "other", statistic) for statistic in ("near_minus_far", "matched", "less_random_sets")]
    places = pd.MultiIndex.from_frame(statistics[["split", "classes", "statistic"]])
    found = pd.concat([statistics[places == place] for place in asked], ignore_index=True)
    found["p_holm"] = holm(found["p"].to_numpy())
    found["detectable"] = found["floor"] + detect(*(found[name].to_numpy() for name in ("p", "error", "freedom")))
    found["verdict"] = [_judge(row) for row in found.itertuples()]
    return found


def _judge(row) -> str:
    if np.isnan(row.p_holm):
        return "withheld"
    if row.p_holm < ALPHA:
        return ("more" if row.unlearned > row.floor else "less") + " than retraining"
    told = row.split == "forget" and tells_original(row)
    return "no more than retraining" if row.detectable <= row.largest or told else UNANSWERED


def tells_original(row) -> bool:
    """Whether the original's number would have been told to be below the floor."""
    return row.original <= 2 * row.floor - row.detectable


def measure_bins(collected: Collected, splits: dict, affected: int, bins: int) -> pd.DataFrame:
    """Damage and distance in bins of equal count along similarity, 0 the farthest, with the floor's band."""
    table = []
    for split, chosen in splits.items():
        if split == "forget":
            continue
        for classes, rows in of_classes(collected, chosen, affected).items():
            places = equal_count_bins(collected.similarity[rows], bins)
            for position in range(bins):
                members = rows[places == position]
                if not len(members):
                    continue
                found = {name: _values(collected, members, {}, name) for name in collected.names}
                place = {"split": split, "classes": classes, "bin": position, "examples": len(members)}
                place["similarity"] = collected.similarity[members].mean()
                for statistic in ("damage", "distance"):
                    values = np.array([found[name][statistic] for name in collected.unlearned])
                    floor = [found[name][statistic] for name in collected.references if collected.others(name)]
                    compared = compare(values, np.array(floor), symmetric=statistic in SYMMETRIC)
                    own = {"unlearned": values.mean(), "original": found[collected.names[0]][statistic]}
                    table.append(place | {"statistic": statistic} | own | compared)
    return pd.DataFrame(table).drop(columns=["p", "error", "freedom"])


def measure_accuracy(collected: Collected, splits: dict, affected: int, *, retrained: bool) -> pd.DataFrame:
    """Accuracy in percent of the original, the unlearned and the retrained models, by split and classes."""
    groups = {"original": [collected.names[0]], "unlearned": collected.unlearned}
    groups |= {"retrained": collected.references} if retrained else {}
    table = []
    for split, chosen in splits.items():
        for classes, rows in of_classes(collected, chosen, affected).items():
            if len(rows) and not (split == "forget" and classes != "all"):
                right = {name: collected.choice[name][rows] == collected.labels[rows] for name in collected.names}
                means = {who: 100 * np.mean([right[name].mean() for name in models]) for who, models in groups.items()}
                table.append({"split": split, "classes": classes, "examples": len(rows)} | means)
    return pd.DataFrame(table)


def measure_classes(collected: Collected, splits: dict, names: list[str]) -> pd.DataFrame:
    """Accuracy in percent, damage and distance by class, the most damaged first within each split."""
    table = []
    for split, chosen in splits.items():
        for label in np.unique(collected.labels[chosen]):
            rows = chosen[collected.labels[chosen] == label]
            right = {name: 100 * float((collected.choice[name][rows] == label).mean()) for name in collected.names}
            found = {name: _values(collected, rows, {}, name) for name in collected.names}
            floor = [found[name]["distance"] for name in collected.references if collected.others(name)]
            table.append({
                "split": split,
                "class": names[label],
                "examples": len(rows),
                "similarity": collected.similarity[rows].mean(),
                "accuracy_original": right[collected.names[0]],
                "accuracy_unlearned": np.mean([right[name] for name in collected.unlearned]),
                "accuracy_reference": np.mean([right[name] for name in collected.references]),
                "damage": np.mean([found[name]["damage"] for name in collected.unlearned]),
                "distance": np.mean([found[name]["distance"] for name in collected.unlearned]),
                "distance_floor": np.mean(floor) if floor else np.nan,
            })  # fmt: skip
    order = {split: position for position, split in enumerate(splits)}
    found = pd.DataFrame(table).sort_values("damage", ascending=False, kind="stable")
    return found.sort_values("split", key=lambda column: column.map(order), kind="stable", ignore_index=True)


def find_worst(collected: Collected, splits: dict, main: str, affected: int, count: int) -> np.ndarray:
    """Up to `count` rows of the affected class and of the others, each the most damaged first; none undamaged."""
    parts = of_classes(collected, splits[main], affected)
    found = []
    for classes in ("affected", "other"):
        rows = parts[classes]
        damage = np.mean([collected.damage(name, rows) for name in collected.unlearned], axis=0)
        order = np.argsort(-damage, kind="stable")[:count]
        found.append(rows[order[damage[order] > 0]])
    return np.concatenate(found)

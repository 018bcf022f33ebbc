"""From the numbers of each example to tables: every statistic with its floor, by class, and by bin.

A statistic of a model is a mean, over some examples, of its `damage` (confidence in the true class that retrained
models keep and it lost), `lost_accuracy` or `distance` (total variation), each averaged over the R retrained models;
or of the distances' mean over the nearest fifth of examples less the farthest half (`near_minus_far`; `matched`: less
far examples that were as hard; `less_random_sets`: less the same around random sets). Definitions:
`lfcore.metrics.discrepancy`, `matched` and `shuffled`.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from lfcore.auditing.collect import Collected
from lfcore.auditing.floor import POSSIBLE, SYMMETRIC, compare
from lfcore.auditing.inputs import Inputs, at_most
from lfcore.core.seeds import number
from lfcore.geometry.locality import far, near
from lfcore.geometry.similarity import equal_count_bins
from lfcore.metrics.matched import match

MOST = (2000, 5000)
"""Near and far examples that are matched at most; of more, so many are drawn."""


def split_rows(inputs: Inputs) -> dict[str, np.ndarray]:
    """Rows of "forget", "retain" and "test"; without known test rows of "forget" and "rest"."""
    kept = np.setdiff1d(inputs.samples.train, inputs.forget)
    if inputs.samples.test is None:
        return {"forget": inputs.forget, "rest": kept}
    return {"forget": inputs.forget, "retain": kept, "test": inputs.samples.test}


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
    tried, pool = (
        part[at_most(np.arange(len(part)), most, draw)] for part, most in zip((close, distant), MOST, strict=True)
    )
    chosen, matches = match(hard[tried], hard[pool])
    found = {"near_minus_far": [(rows[close], rows[distant])]}
    if len(chosen):
        found["matched"] = [(rows[tried[chosen]], rows[pool[matches]])]
    random = [(rows[near(values[rows])], rows[far(values[rows])]) for values in collected.random]
    found["less_random_sets"] = [*found["near_minus_far"], *random]
    return found


def _measure(collected: Collected, rows: np.ndarray, contrasts: dict) -> dict[str, dict[str, float]]:
    """Every statistic of each model on these rows, by model."""
    found = {}
    for name in collected.names:
        distance = collected.distance[name]
        found[name] = {
            "damage": collected.damage(name, rows).mean(),
            "lost_accuracy": collected.lost(name, rows).mean(),
            "distance": distance[rows].mean(dtype=np.float64),
        }
        for statistic, pairs in contrasts.items():
            gaps = [distance[a].mean(dtype=np.float64) - distance[b].mean(dtype=np.float64) for a, b in pairs]
            found[name][statistic] = gaps[0] - (np.mean(gaps[1:]) if len(gaps) > 1 else 0.0)
    return found


def _compare(collected: Collected, rows: np.ndarray, found: dict, statistic: str) -> dict[str, float]:
    """One statistic: the unlearned models' mean, the original's, the largest that is possible, and `compare`'s numbers.

    The largest damage is that of a model that lost all confidence in the true class of the rows.
    """
    values = np.array([found[name][statistic] for name in collected.unlearned])
    floor = np.array([found[name][statistic] for name in collected.references if collected.others(name)])
    largest = float(POSSIBLE[statistic][1])
    if statistic == "damage":
        largest = np.mean([collected.confidence[name][rows].mean(dtype=np.float64) for name in collected.references])
    own = {"unlearned": values.mean(), "original": found["original"][statistic], "largest": largest}
    return own | compare(values, floor, symmetric=statistic in SYMMETRIC)


def _parts(collected: Collected, splits: dict, affected: int) -> Iterator[tuple[str, str, np.ndarray]]:
    """Triples (split, classes, rows) of all, affected and other classes; none without rows."""
    for split, chosen in splits.items():
        for classes, rows in of_classes(collected, chosen, affected).items():
            if len(rows):
                yield split, classes, rows


def measure_statistics(collected: Collected, splits: dict, affected: int, seed: int) -> pd.DataFrame:
    """A row for each statistic on each split, of all, affected and other classes, with its floor."""
    table = []
    for split, classes, rows in _parts(collected, splits, affected):
        found = _measure(collected, rows, {} if split == "forget" else _contrasts(collected, rows, seed))
        for statistic in found["original"]:
            row = {"split": split, "classes": classes, "statistic": statistic, "examples": len(rows)}
            table.append(row | _compare(collected, rows, found, statistic))
    return pd.DataFrame(table)


def measure_bins(collected: Collected, splits: dict, affected: int, bins: int) -> pd.DataFrame:
    """Damage and distance in bins of equal count along similarity, 0 the farthest, with the floor's band."""
    table = []
    for split, classes, rows in _parts(collected, splits, affected):
        places = equal_count_bins(collected.similarity[rows], bins)
        for position in np.unique(places) if split != "forget" else ():
            members = rows[places == position]
            row = {"split": split, "classes": classes, "bin": position, "examples": len(members)}
            row["similarity"] = collected.similarity[members].mean()
            found = _measure(collected, members, {})
            for statistic in ("damage", "distance"):
                table.append(row | {"statistic": statistic} | _compare(collected, members, found, statistic))
    return pd.DataFrame(table).drop(columns=["largest", "p", "error", "freedom"])


def measure_accuracy(collected: Collected, splits: dict, affected: int, *, retrained: bool) -> pd.DataFrame:
    """Accuracy in percent of the original, the unlearned and the retrained models, by split and classes."""
    groups = {"original": ["original"], "unlearned": collected.unlearned}
    groups |= {"retrained": collected.references} if retrained else {}
    table = []
    for split, classes, rows in _parts(collected, splits, affected):
        if split != "forget" or classes == "all":
            means = {who: 100 * np.mean([collected.right[m][rows].mean() for m in ms]) for who, ms in groups.items()}
            table.append({"split": split, "classes": classes, "examples": len(rows)} | means)
    return pd.DataFrame(table)


def measure_classes(collected: Collected, splits: dict, names: list[str]) -> pd.DataFrame:
    """Accuracy in percent, damage and distance by class, the most damaged first within each split."""
    table = []
    for split, chosen in splits.items():
        part = []
        for label in np.unique(collected.labels[chosen]):
            rows = chosen[collected.labels[chosen] == label]
            right = {name: 100 * float(collected.right[name][rows].mean()) for name in collected.names}
            found = _measure(collected, rows, {})
            floor = [found[name]["distance"] for name in collected.references if collected.others(name)]
            part.append({
                "split": split,
                "class": names[label],
                "examples": len(rows),
                "similarity": collected.similarity[rows].mean(),
                "accuracy_original": right["original"],
                "accuracy_unlearned": np.mean([right[name] for name in collected.unlearned]),
                "accuracy_reference": np.mean([right[name] for name in collected.references]),
                "damage": np.mean([found[name]["damage"] for name in collected.unlearned]),
                "distance": np.mean([found[name]["distance"] for name in collected.unlearned]),
                "distance_floor": np.mean(floor) if floor else np.nan,
            })  # fmt: skip
        table += sorted(part, key=lambda row: row["damage"], reverse=True)
    return pd.DataFrame(table)

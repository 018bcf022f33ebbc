"""From the numbers of each example to tables: every statistic with its floor, by class, and by bin.

A statistic of a model is a mean, over some examples, of its `damage` (confidence in the true class that retrained
models keep and it lost), `lost_accuracy` or `distance` (total variation), each averaged over the R retrained models;
or of the distances' mean over the nearest fifth of examples less the farthest half (`near_minus_far`; `matched`: less
far examples that were as hard; `less_random_sets`: less the same around random sets). Definitions:
`lfcore.metrics.discrepancy`, `matched` and `shuffled`.
"""

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from lfcore.auditing.collect import Collected
from lfcore.auditing.floor import POSSIBLE, SYMMETRIC, compare
from lfcore.auditing.inputs import at_most
from lfcore.core.seeds import number
from lfcore.geometry.locality import far, near
from lfcore.geometry.similarity import equal_count_bins
from lfcore.metrics.matched import match

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

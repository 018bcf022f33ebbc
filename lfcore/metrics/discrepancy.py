"""Example by example against retraining, and where along the similarity axis the difference lies.

Dolgova and Stich, 2605.31317, sec. 5. For an unlearned model u and a reference retrained model r:

    confidence_gap(x, y)   = f_r(x)_y - f_u(x)_y                    in [-1, 1]; positive: confidence was destroyed
    accuracy_gap(x, y)     = 1[argmax f_r = y] - 1[argmax f_u = y]  (its mean over a bin is the paper's Delta Acc)
    total_variation(x)     = 1/2 sum_c |f_r(x)_c - f_u(x)_c|        in [0, 1]
    flip(x)                = 1[argmax f_r != argmax f_u]

Each is averaged over the reference models (reference "retrained"). With "retrained_mean", predictions are averaged
over seeds first, and then compared: far less noise, and one number for all seeds, so leave-one-seed-out rows are given
too. The paper's plots average signed gaps over equal-width bins; the rest is ours.

Every mean is given three times, as the first part of the key: all, affected (class only), other (classes only).
Scopes: "width_bin" and "count_bin" (0 farthest), "range" (whole, near: the nearest fifth, far: the farthest half).
`localization` is the total variation near minus far. `spearman` is the rank correlation, over examples, of similarity
with the excess: the total variation of an unlearned seed less the mean total variation of the floor's models (for a
floor's model: of the others), so that what retraining itself leaves uncertain near the forget set counts for nothing.
"""

import numpy as np

from lfcore.core.run import Row, leave_one_out
from lfcore.geometry.locality import far, near, rank
from lfcore.geometry.similarity import equal_count_bins, equal_width_bins

BINS = 10
NAMES = ("confidence_gap", "accuracy_gap", "total_variation", "flip")


def compare(model: np.ndarray, reference: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """The four discrepancies of one prediction from one reference. Both (n, classes), labels (n,); each result (n,)."""
    rows = np.arange(len(labels))
    choice, target = model.argmax(axis=1), reference.argmax(axis=1)
    return {
        "confidence_gap": reference[rows, labels] - model[rows, labels],
        "accuracy_gap": (target == labels).astype(float) - (choice == labels),
        "total_variation": np.abs(reference - model).sum(axis=1) / 2,
        "flip": (choice != target).astype(float),
    }


def against(models, reference, labels: np.ndarray) -> dict[str, np.ndarray]:
    """Each discrepancy of each seed of `models`, averaged over the models of `reference`: (seeds, n)."""
    references = reference.probabilities
    result = {name: np.zeros(models.logits.shape[:2]) for name in NAMES}
    for position, model in enumerate(models.probabilities):
        for target in references:
            for name, values in compare(model, target, labels).items():
                result[name][position] += values / len(references)
    return result


def per_example(run, reference) -> dict[str, np.ndarray]:
    """Each discrepancy of each unlearned seed, averaged over the reference models: (seeds, n)."""
    return run.once("discrepancy", lambda: against(run.predictions, reference, run.labels), run.predictions, reference)


def excess(run, reference) -> np.ndarray:
    """Total variation less the floor's, (seeds, n); a model of the floor itself is compared with the floor's others."""
    return run.once("excess", lambda: _excess(run, reference), run.predictions, run.floor, reference)


def _excess(run, reference) -> np.ndarray:
    floor = run.once("floor", lambda: against(run.floor, reference, run.labels), run.floor, reference)[
        "total_variation"
    ]
    others = [
        np.array([other != seed or not run.is_floor for other in run.floor.seeds]) for seed in run.predictions.seeds
    ]
    nan = np.full(floor.shape[1:], np.nan)
    above = np.stack([floor[keep].mean(axis=0) if keep.any() else nan for keep in others])
    return per_example(run, reference)["total_variation"] - above


def measure(run, reference):
    """Rows of the discrepancies, of `localization` and `spearman`, and of each bin's `count` and mean `similarity`."""
    seeds, model = run.predictions.seeds, run.predictions.probabilities
    target = reference.probabilities.mean(axis=0)
    averaged = {label: compare(model[c].mean(axis=0), target, run.labels) for label, c in leave_one_out(seeds)}
    arrays = per_example(run, reference)
    above = excess(run, reference)
    each = {seed: {name: arrays[name][i] for name in NAMES} for i, seed in enumerate(seeds)}
    for split in ("retain", "test"):
        parts = list(partition(run, run.splits[split]))
        for scope, key, rows in parts:
            yield Row("", "", split, "count", scope, key, len(rows))
            if len(rows):
                yield Row("", "", split, "similarity", scope, key, float(run.similarity[rows].mean()))
        for which, results in (("retrained", each), ("retrained_mean", averaged)):
            for label, values in results.items():
                yield from _rows(parts, label, which, split, values)
        for classes, rows in run.of_classes(run.splits[split]).items():
            for seed, values in zip(seeds, above, strict=True):
                order = rank(run.similarity[rows], values[rows])
                yield Row(seed, "retrained", split, "spearman", "range", classes, order)


def _rows(parts, label, which, split, values):
    means = {}
    for scope, key, rows in parts:
        for name in NAMES:
            if len(rows):
                means[scope, key, name] = float(values[name][rows].mean())
                yield Row(label, which, split, name, scope, key, means[scope, key, name])
    for classes in ("all", "affected", "other"):
        ends = [means.get(("range", f"{classes}/{part}", "total_variation")) for part in ("near", "far")]
        if None not in ends:
            yield Row(label, which, split, "localization", "range", classes, ends[0] - ends[1])


def partition(run, rows: np.ndarray):
    """Triples (scope, key, rows): the bins and ranges of these rows, for all, affected and other classes.

    Equal-width bins share their edges, which span all the rows (as in the paper); equal-count bins and the ranges are
    cut within each of the three.
    """
    width = dict(zip(rows.tolist(), equal_width_bins(run.similarity[rows], BINS), strict=True))
    for classes, members in run.of_classes(rows).items():
        similarities = run.similarity[members]
        bins = {"width_bin": np.array([width[row] for row in members.tolist()], dtype=int)}
        bins["count_bin"] = equal_count_bins(similarities, BINS)
        for scope, numbers in bins.items():
            for number in range(BINS):
                yield scope, f"{classes}/{number}", members[numbers == number]
        yield "range", f"{classes}/whole", members
        yield "range", f"{classes}/near", members[near(similarities)]
        yield "range", f"{classes}/far", members[far(similarities)]

"""One pass over the data in batches, which keeps a few numbers of each example and of each model.

Nothing of the size examples x classes or examples x width stays in memory: the centre of the forget set's features
comes from a first pass over its rows (and over the random sets' rows), everything else from the second.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lfcore.auditing.forward import predict
from lfcore.auditing.inputs import Inputs, at_most, batches
from lfcore.core.errors import InputError
from lfcore.core.run import softmax
from lfcore.core.seeds import number
from lfcore.metrics.matched import margin_to_runner_up
from lfcore.metrics.shuffled import DRAWS

KEPT = 5000
"""Forget examples whose features are kept, to name the nearest; of a larger set, so many are drawn."""


@dataclass(frozen=True)
class Collected:
    """A few numbers of each of n examples. Models are named as in `Subject`.

    labels (n,); similarity (n,) to the forget set in the original's features; random (draws, n), the same to random
    sets of train rows; margin (n,), the original's; variance (n,) of the references' true-class confidence.
    By model: confidence (n,) in the true class, choice (n,), and distance (n,), the total variation from each of the
    reference models, averaged (for a reference: from the others; NaN if there are none).
    content: (n,), equal for examples of the same image (of predictions: of the same features and logits).
    apart: the largest total variation from the original, over all examples, of each other model.
    references: the models compared with: the retrained, or the original as a stand-in.
    """

    labels: np.ndarray
    classes: int
    similarity: np.ndarray
    random: np.ndarray
    margin: np.ndarray
    variance: np.ndarray
    content: np.ndarray
    confidence: dict[str, np.ndarray]
    choice: dict[str, np.ndarray]
    distance: dict[str, np.ndarray]
    apart: dict[str, float]
    unlearned: list[str]
    references: list[str]

    @property
    def names(self) -> list[str]:
        """The original, the unlearned, the references; each once."""
        return list(self.confidence)

    @cached_property
    def right(self) -> dict[str, np.ndarray]:
        """Whether each example is classified correctly, (n,) by model."""
        return {name: choice == self.labels for name, choice in self.choice.items()}

    def others(self, name: str) -> list[str]:
        """The references that `name` is compared with."""
        return [reference for reference in self.references if reference != name]

    def _behind(self, values: dict[str, np.ndarray], name: str, rows: np.ndarray) -> np.ndarray:
        """The references' mean value less that of `name`, (m,)."""
        kept = sum(values[other][rows].astype(np.float64) for other in self.others(name))
        return kept / (len(self.others(name)) or np.nan) - values[name][rows]

    def damage(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Confidence in the true class that the references have and `name` has not, (m,) in [-1, 1]."""
        return self._behind(self.confidence, name, rows)

    def lost(self, name: str, rows: np.ndarray) -> np.ndarray:
        """1 where the references are right and `name` is not, -1 the other way round, averaged over them, (m,)."""
        return self._behind(self.right, name, rows)


@dataclass(frozen=True)
class Center:
    """Where the forget set and the random sets lie. sums: (1 + draws, width), the sum of each set's features.

    rows, features: forget examples (at most KEPT) and their features, (m, width).
    """

    sums: np.ndarray
    rows: np.ndarray
    features: np.ndarray


def find_center(inputs: Inputs) -> Center:
    """The first pass, over the rows of the forget set and of the random sets alone."""
    forget, samples = inputs.forget, inputs.samples
    member = np.zeros((1 + DRAWS, samples.count), dtype=bool)
    member[0, forget] = True
    draw = np.random.default_rng(number(inputs.seed, "audit", "random sets"))
    for chosen in member[1:]:
        chosen[draw.choice(samples.train, size=len(forget), replace=False)] = True
    kept = at_most(forget, KEPT, draw)
    running = inputs.original.network is not None
    sums, features = 0.0, []
    for rows, images, _ in batches(samples, np.flatnonzero(member.any(axis=0)), inputs.batch_size, running):
        found = predict(inputs.original, rows, images, inputs.layer)[1]
        if not np.isfinite(found).all():
            raise InputError("The original's features are not finite: name another layer with features=.")
        sums = sums + member[:, rows].astype(np.float64) @ found.astype(np.float64)
        features.append(found[np.isin(rows, kept)])
    return Center(sums, kept, np.concatenate(features))


def _cosines(features: np.ndarray, centers: np.ndarray) -> np.ndarray:
    """(centers, n); `lfcore.geometry.similarity.similarity` for several centres; 0 where a vector is zero."""
    wide = features.astype(np.float64)
    norms = np.linalg.norm(centers, axis=1)[:, None] * np.linalg.norm(wide, axis=1)
    products = centers @ wide.T
    return np.divide(products, norms, out=np.zeros_like(products), where=norms > 0)


def nearest(features: np.ndarray, center: Center, count: int) -> tuple[np.ndarray, np.ndarray]:
    """For each of (m, width) features the rows of the `count` most similar forget examples, and their cosines."""
    found = _cosines(features, center.features.astype(np.float64)).T
    order = np.argsort(-found, axis=1, kind="stable")[:, :count]
    return center.rows[order], np.take_along_axis(found, order, axis=1)


def collect(inputs: Inputs, center: Center) -> Collected:
    """The second pass, over every example."""
    original, *others = inputs.subjects
    n, names = inputs.samples.count, [subject.name for subject in inputs.subjects]
    references = [subject.name for subject in inputs.retrained] or ["original"]
    labels, content = np.zeros((2, n), dtype=np.int64)
    margin, variance = np.zeros((2, n), dtype=np.float32)
    cosines, similarity = np.zeros((1 + DRAWS, n), dtype=np.float32), np.zeros(n)
    confidence, distance, choice = (
        {name: np.zeros(n, dtype=kind) for name in names} for kind in (np.float32, np.float32, np.int32)
    )
    apart = dict.fromkeys(names[1:], 0.0)
    running = any(subject.network is not None for subject in inputs.subjects)
    for rows, images, own in batches(inputs.samples, np.arange(n), inputs.batch_size, running):
        first, features = predict(original, rows, images, inputs.layer)
        _check_labels(own, first.shape[1], rows)
        logits = {"original": first} | {subject.name: predict(subject, rows, images)[0] for subject in others}
        _check_classes(logits)
        probabilities = {name: softmax(values) for name, values in logits.items()}
        labels[rows] = own
        found = _cosines(features, center.sums)
        cosines[:, rows], similarity[rows] = found, found[0]
        content[rows] = _hash(features, first) if images is None else _hash(images.cpu().double().numpy())
        margin[rows] = margin_to_runner_up(first[None], own)[0]
        for name, values in probabilities.items():
            choice[name][rows] = logits[name].argmax(axis=1)
            confidence[name][rows] = values[np.arange(len(rows)), own]
            gaps = [_total_variation(values, probabilities[other]) for other in references if other != name]
            distance[name][rows] = np.mean(gaps, axis=0) if gaps else np.nan
        for name in apart:
            change = _total_variation(probabilities[name], probabilities["original"])
            apart[name] = max(apart[name], float(change.max()))
        variance[rows] = np.var([confidence[name][rows] for name in references], axis=0, dtype=np.float64)
    by_example = (similarity, cosines[1:], margin, variance, content)
    by_model = (confidence, choice, distance, apart)
    unlearned = [subject.name for subject in inputs.unlearned]
    return Collected(labels, first.shape[1], *by_example, *by_model, unlearned, references)


def _total_variation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.abs(one - other).sum(axis=1) / 2


def _hash(*arrays: np.ndarray) -> list[int]:
    """A number of each example, equal for examples that are equal in all of `arrays`."""
    return [hash(tuple(part.tobytes() for part in row)) for row in zip(*arrays, strict=True)]


def _check_classes(logits: dict[str, np.ndarray]) -> None:
    classes = logits["original"].shape[1]
    for name, values in logits.items():
        if values.shape[1] != classes:
            counts = f"{values.shape[1]} classes and the original {classes}"
            raise InputError(f"The {name} model has {counts}: compare models of the same classes.")


def _check_labels(labels: np.ndarray, classes: int, rows: np.ndarray) -> None:
    for position in np.flatnonzero((labels < 0) | (labels >= classes)):
        found = f"Example {rows[position]} has label {labels[position]}"
        known = f"the original has classes 0 to {classes - 1}"
        raise InputError(f"{found}, but {known}: number the labels as its logits.")

"""One pass over the data in batches, which keeps a few numbers of each example and of each model.

Nothing of the size examples x classes or examples x width stays in memory: the centre of the forget set's features
comes from a first pass over its rows (and over the random sets' rows), everything else from the second.
"""

from dataclasses import dataclass

import numpy as np
import torch

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

    def others(self, name: str) -> list[str]:
        """The references that `name` is compared with."""
        return [reference for reference in self.references if reference != name]

    def damage(self, name: str, rows: np.ndarray) -> np.ndarray:
        """Confidence in the true class that the references have and `name` has not, (m,) in [-1, 1]."""
        kept = sum(self.confidence[other][rows].astype(np.float64) for other in self.others(name))
        return kept / (len(self.others(name)) or np.nan) - self.confidence[name][rows]

    def lost(self, name: str, rows: np.ndarray) -> np.ndarray:
        """1 where the references are right and `name` is not, -1 the other way round, averaged over them, (m,)."""
        right = {each: self.choice[each][rows] == self.labels[rows] for each in (name, *self.others(name))}
        kept = sum(right[other].astype(np.float64) for other in self.others(name))
        return kept / (len(self.others(name)) or np.nan) - right[name]


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
    subjects, original, n = inputs.subjects, inputs.original, inputs.samples.count
    references = [subject.name for subject in inputs.retrained] or [original.name]
    labels, content = (np.zeros(n, dtype=np.int64) for _ in range(2))
    cosines, similarity = np.zeros((1 + DRAWS, n), dtype=np.float32), np.zeros(n)
    margin, variance = (np.zeros(n, dtype=np.float32) for _ in range(2))
    confidence, distance, choice = (
        {subject.name: np.zeros(n, dtype=kind) for subject in subjects} for kind in (np.float32, np.float32, np.int32)
    )
    running = any(subject.network is not None for subject in subjects)
    classes, apart = None, dict.fromkeys([s.name for s in subjects[1:]], 0.0)
    for rows, images, own in batches(inputs.samples, np.arange(n), inputs.batch_size, running):
        probabilities = {}
        for subject in subjects:
            logits, features = predict(subject, rows, images, inputs.layer if subject is original else None)
            if subject is original:
                classes = logits.shape[1]
                _check_labels(own, classes, rows)
                found = _cosines(features, center.sums)
                cosines[:, rows], similarity[rows] = found, found[0]
                content[rows] = _hash(images, features, logits)
                margin[rows] = margin_to_runner_up(logits[None], own)[0]
            _check_classes(subject.name, logits.shape[1], classes)
            probabilities[subject.name] = softmax(logits)
            choice[subject.name][rows] = logits.argmax(axis=1)
            confidence[subject.name][rows] = probabilities[subject.name][np.arange(len(rows)), own]
        labels[rows] = own
        for name in apart:
            change = np.abs(probabilities[name] - probabilities[original.name]).sum(axis=1) / 2
            apart[name] = max(apart[name], float(change.max()))
        for name, values in _distances(probabilities, references).items():
            distance[name][rows] = values
        variance[rows] = np.var([confidence[name][rows] for name in references], axis=0, dtype=np.float64)
    names = [subject.name for subject in inputs.unlearned]
    by_model = (confidence, choice, distance, apart)
    by_example = (similarity, cosines[1:], margin, variance, content)
    return Collected(labels, classes, *by_example, *by_model, names, references)


def _hash(images: torch.Tensor | None, features: np.ndarray, logits: np.ndarray) -> list[int]:
    """A number of each example, equal for equal images; without images, for equal features and logits."""
    if images is None:
        return [hash(tuple(array.tobytes() for array in row)) for row in zip(features, logits, strict=True)]
    numbers = images.detach().cpu().reshape(len(images), -1).contiguous().view(torch.uint8).numpy()
    return [hash(row.tobytes()) for row in numbers]


def _check_classes(name: str, own: int, classes: int) -> None:
    if own != classes:
        raise InputError(
            f"The {name} model has {own} classes and the original {classes}: compare models of the same classes."
        )


def _check_labels(labels: np.ndarray, classes: int, rows: np.ndarray) -> None:
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        raise InputError(
            f"Example {rows[wrong[0]]} has label {labels[wrong[0]]}, but the original has classes 0 to {classes - 1}: "
            "number the labels as its logits."
        )


def _distances(probabilities: dict[str, np.ndarray], references: list[str]) -> dict[str, np.ndarray]:
    """Total variation of each model from the references but itself, averaged over them, (b,)."""
    pairs = {}
    for name in probabilities:
        for other in references:
            if name != other and (other, name) not in pairs:
                pairs[name, other] = np.abs(probabilities[name] - probabilities[other]).sum(axis=1) / 2
    found = {}
    for name, own in probabilities.items():
        parts = [pairs.get((name, other), pairs.get((other, name))) for other in references if other != name]
        found[name] = np.mean(parts, axis=0) if parts else np.full(len(own), np.nan)
    return found

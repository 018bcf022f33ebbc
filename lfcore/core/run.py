"""What metrics measure: predictions of several seeds, and a run of one unlearner."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lfcore.core import checkpoint, data


class Row(NamedTuple):
    """One number of the tidy table.

    seed: the unlearned seed; "mean" for predictions averaged over seeds, "mean-3" for the average without seed 3.
    reference: "" (none), "retrained" (mean over the reference models), "retrained_mean" (their mean prediction).
    scope and key: what the number is about: ("all", ""), ("class", "4"), ("width_bin", "other/9") …
    """

    seed: int | str
    reference: str
    split: str
    metric: str
    scope: str
    key: str
    value: float


@dataclass(frozen=True)
class Predictions:
    """Predictions of several seeds. logits: (seeds, n, classes); features: (seeds, n, width).

    teacher_logits: (seeds, m, classes), what a method's teacher says of the m forget examples; None without a teacher.
    """

    seeds: tuple[int, ...]
    logits: np.ndarray
    features: np.ndarray
    teacher_logits: np.ndarray | None = None

    @property
    def probabilities(self) -> np.ndarray:
        """Softmax of the logits, float64, (seeds, n, classes)."""
        return softmax(self.logits)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Softmax over the last axis, in float64."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    np.exp(shifted, out=shifted)
    return shifted / shifted.sum(axis=-1, keepdims=True)


@dataclass(frozen=True)
class Run:
    """What a metric sees of one unlearner: its predictions, and the examples by split.

    originals: the models that were unlearned, whatever the unlearner.
    floor: the retrained models that are no reference. is_floor: whether `predictions` are theirs.
    similarity: (n,) cosine to the mean forget feature, or for a random forget set the mean cosine to the five nearest
    forget images; averaged over the originals, so that every unlearner shares it.
    images: reads the images (n, c, h, w), which few metrics want.
    memo: what `once` keeps.
    """

    predictions: Predictions
    originals: Predictions
    floor: Predictions
    is_floor: bool
    labels: np.ndarray
    classes: int
    forget_set: data.Forget
    test: np.ndarray
    similarity: np.ndarray
    images: Callable[[], np.ndarray] = field(default=lambda: np.empty(0), repr=False)
    memo: dict = field(default_factory=dict, repr=False)

    @property
    def splits(self) -> dict[str, np.ndarray]:
        """Rows of the forget, retain and test examples."""
        return {"forget": self.forget_set.forget, "retain": self.forget_set.retain, "test": self.test}

    def once(self, name: str, compute: Callable[[], object], *predictions: Predictions):
        """The result of `compute`, kept for the other metrics under `name` and the identity of what it reads."""
        key = (name, *map(id, predictions))
        if key not in self.memo:
            self.memo[key] = (predictions, compute())  # kept alive, so that no other gets its id
        return self.memo[key][1]

    @property
    def scattered(self) -> bool:
        """Whether the forget set is drawn from all classes, so that it has no affected class and no centre."""
        return self.forget_set.affected is None

    def of_classes(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """These rows three times: all, of the affected class only, of other classes only.

        A scattered forget set affects no class: "affected" is empty, and "other" is all. Of a whole class, none is
        retained.
        """
        affected = np.zeros(len(rows), dtype=bool) if self.scattered else self.labels[rows] == self.forget_set.affected
        return {"all": rows, "affected": rows[affected], "other": rows[~affected]}


def leave_one_out(seeds) -> Iterator[tuple[str, np.ndarray]]:
    """Pairs (label, positions): ("mean", all of them), then ("mean-<seed>", all but that seed's) for each seed."""
    positions = np.arange(len(seeds))
    yield "mean", positions
    if len(seeds) > 1:
        for position, seed in enumerate(seeds):
            yield f"mean-{seed}", positions[positions != position]


def read_predictions(folders: list[str | Path], seeds: list[int]) -> Predictions:
    """The predictions of these seeds, looked for in each of `folders`."""
    found = [checkpoint.predictions(folders, seed) for seed in seeds]
    keys = ["logits", "features", *(["teacher_logits"] if all("teacher_logits" in one for one in found) else [])]
    return Predictions(tuple(seeds), *(np.stack([one[key] for one in found]) for key in keys))

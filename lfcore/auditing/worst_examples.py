"""The examples that lost most confidence in their class, and the forget examples nearest to each."""

import numpy as np
import pandas as pd
import torch

from lfcore.auditing.collect import Center, Collected, nearest
from lfcore.auditing.forward import predict
from lfcore.auditing.inputs import Inputs, Samples, batches
from lfcore.auditing.measure import of_classes
from lfcore.core.errors import InputError

WORST, NEAREST = 5, 3
"""Worst-hit examples of the affected class and of the others, and the forget examples shown beside each."""


def describe(
    inputs: Inputs, center: Center, collected: Collected, rows: np.ndarray, split: str, affected: int, names: list[str]
) -> pd.DataFrame:
    """A row for each of the worst-hit examples among `rows`, of which `split` is the name.

    Of several models, the first one's choice and the mean confidence. And the nearest forget examples: their rows
    (`nearest`), cosines (`nearest_similarities`) and classes.
    """

    first, references = collected.unlearned[0], collected.references
    worst = _find_worst(collected, rows, affected)
    near, cosines = _find_nearest(inputs, worst, center)
    choices = np.array([collected.choice[name][worst] for name in references])
    most = [np.bincount(column).argmax() for column in choices.T]

    def name_all(labels):
        return [names[label] for label in labels]

    def mean_confidence(models):
        return np.column_stack([collected.confidence[name][worst] for name in models]).mean(axis=1).astype(float)

    return pd.DataFrame({
        "row": worst,
        "split": split,
        "label": name_all(collected.labels[worst]),
        "classes": ["affected class" if label == affected else "other class" for label in collected.labels[worst]],
        "similarity": collected.similarity[worst],
        "damage": np.column_stack([collected.damage(name, worst) for name in collected.unlearned]).mean(axis=1),
        "original_says": name_all(collected.choice["original"][worst]),
        "original_confidence": mean_confidence(["original"]),
        "unlearned_says": name_all(collected.choice[first][worst]),
        "unlearned_confidence": mean_confidence(collected.unlearned),
        "reference_says": name_all(most),
        "reference_confidence": mean_confidence(references),
        "stand_in": not inputs.retrained,
        "nearest": list(near),
        "nearest_similarities": list(cosines),
        "nearest_classes": [name_all(collected.labels[rows]) for rows in near],
    })  # fmt: skip


def shorten(examples: pd.DataFrame) -> pd.DataFrame:
    """The table of examples to keep: the nearest forget examples as text, `nearest_forget`."""
    shown = examples.drop(columns=["nearest", "nearest_similarities", "nearest_classes", "stand_in"])
    return shown.assign(nearest_forget=[" ".join(map(str, near)) for near in examples["nearest"]])


def _find_worst(collected: Collected, rows: np.ndarray, affected: int) -> np.ndarray:
    """Up to WORST rows of the affected class and of the others, each the most damaged first; none undamaged."""
    parts, found = of_classes(collected, rows, affected), []
    for classes in ("affected", "other"):
        damage = np.mean([collected.damage(name, parts[classes]) for name in collected.unlearned], axis=0)
        order = np.argsort(-damage, kind="stable")[:WORST]
        found.append(parts[classes][order[damage[order] > 0]])
    return np.concatenate(found)


def _find_nearest(inputs: Inputs, worst: np.ndarray, center: Center) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the NEAREST forget examples of each, and their cosines."""
    order, original = np.sort(worst), inputs.original
    parts = batches(inputs.samples, order, inputs.batch_size, original.network is not None)
    features = [predict(original, part, images, inputs.layer)[1] for part, images, _ in parts]
    if not features:
        return np.empty((0, NEAREST), dtype=int), np.empty((0, NEAREST))
    return nearest(np.concatenate(features)[np.searchsorted(order, worst)], center, NEAREST)


def read_pictures(images, samples: Samples, examples: pd.DataFrame) -> dict[int, np.ndarray]:
    """The pictures of the examples and of their nearest, by row: of `images`, else of the data, if any."""
    if images is None and samples.dataset is None:
        return {}
    found = {}
    for row in sorted({*examples["row"], *(int(near) for rows in examples["nearest"] for near in rows)}):
        try:
            picture = samples.dataset[row][0] if images is None else images[row]
        except (IndexError, KeyError):
            raise InputError(f"There is no picture of example {row} in images=: give one for each example.") from None
        picture = picture[0] if isinstance(picture, tuple) else picture
        found[row] = picture.detach().cpu().numpy() if isinstance(picture, torch.Tensor) else np.asarray(picture)
    return found

"""Natural near-duplicates: pairs found in the real data, one of each to forget.

Ours: 2601.06938 makes its near-duplicates. Pairs are the nearest of the train examples that are each other's nearest
neighbour (`geometry.near_duplicates.pairs`), by cosine in the penultimate features of one more model, trained on all of
them, or in pixels. Exact duplicates, as CIFAR-100 has them, have cosine 1 and come first. The lower row is requested,
the other is the near-duplicate that stays; references and measures are those of `lfcore.experiments._residual`.
"""

import numpy as np
import pandas as pd

from lfcore.core.data import Data
from lfcore.core.errors import InputError
from lfcore.core.examples import choose
from lfcore.experiments import _residual as residual
from lfcore.geometry import near_duplicates


def find(data: Data, pairs: int, by: str, device: str, network: str, training: dict):
    """Train rows of the pairs, (pairs, 2), and their cosines, (pairs,)."""
    if by not in ("features", "pixels"):
        raise InputError(f"Pairs can't be found by {by!r}: choose features or pixels.")
    features = data.images[data.train].reshape(len(data.train), -1)
    if by == "features":
        part = choose(data, data.train, device)
        model = residual.train(part, data.classes, network=network, seed=0, stage="pairs", training=training)
        features = residual.features(model, part)
    found, cosines = near_duplicates.pairs(features, pairs)
    return data.train[found], cosines


def experiment(
    data: Data,
    *,
    seeds: list[int],
    device: str,
    pairs: int = 20,
    by: str = "features",
    ordinary: int | None = 500,
    references: int = 5,
    network: str = "cnn",
    training: dict = residual.TRAINING,
    unlearners: dict[str, dict] | None = None,
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """The rows of `residual.compare`, and facts of the split "pairs": cosine (lowest, highest), same_class (share).

    by: features or pixels. "exact_duplicates", of the split "train", is how many train images equal an earlier one.
    Arrays: those of `residual.compare`, and "pairs" (pairs, 2, c, h, w).
    """
    unlearners = unlearners or {}
    residual.prepare(seeds, references, network, unlearners, device)
    found, cosines = find(data, pairs, by, device, network, training)
    parts = residual.Parts(
        targets=choose(data, found[:, 0], device),
        similar=choose(data, found[:, 1], device),
        ordinary=residual.rest(data, found.ravel(), ordinary, device),
        test=choose(data, data.test, device),
        classes=data.classes,
    )
    table, arrays = residual.compare(parts, seeds, references, unlearners, network=network, training=training)
    labels = data.labels[found]
    facts = [
        ("", "", "", "pairs", "cosine", "range", "lowest", float(cosines.min())),
        ("", "", "", "pairs", "cosine", "range", "highest", float(cosines.max())),
        ("", "", "", "pairs", "same_class", "all", "", float((labels[:, 0] == labels[:, 1]).mean())),
        ("", "", "", "train", "exact_duplicates", "all", "", near_duplicates.exact(data.images[data.train])),
    ]
    return pd.concat([table, residual.table(facts)], ignore_index=True), arrays | {"pairs": data.images[found]}

"""How near an example is to the forget set, and bins along that axis (2605.31317, sec. 4.2)."""

import numpy as np

from lfcore.errors import InputError


def similarity(features: np.ndarray, forget_features: np.ndarray) -> np.ndarray:
    """Cosine between each example's features and the mean of the forget set's *unnormalised* features.

    s(x, D_f) = <h(x) / |h(x)|, u / |u|> with u the sum of h over D_f (2605.31317, sec. 4.2).
    features: (n, width); forget_features: (m, width), m >= 1. Returns (n,) in [-1, 1]; 0 where h(x) = 0.
    """
    if len(forget_features) == 0:
        raise InputError("Similarity needs at least one forget example: this forget set is empty.")
    center = forget_features.astype(np.float64).sum(axis=0)
    features = features.astype(np.float64, copy=False)
    norms = np.linalg.norm(features, axis=1) * np.linalg.norm(center)
    products = features @ center
    return np.divide(products, norms, out=np.zeros(len(features)), where=norms > 0)


NEIGHBOURS = 5
"""How many forget images count for a set that has no centre."""


def nearest_similarity(features: np.ndarray, forget_features: np.ndarray, k: int = NEIGHBOURS) -> np.ndarray:
    """The mean cosine between each example's features and those of its k most similar forget images (all, if fewer).

    Ours, for a forget set drawn from all classes, whose mean feature is near nothing in particular. A forget image
    counts itself. features: (n, width); forget_features: (m, width), m >= 1. Returns (n,) in [-1, 1].
    """
    if len(forget_features) == 0:
        raise InputError("Similarity needs at least one forget example: this forget set is empty.")
    one, other = (_unit(part.astype(np.float64)) for part in (features, forget_features))
    return np.sort(one @ other.T, axis=1)[:, -k:].mean(axis=1)


def _unit(rows: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, norms, out=np.zeros_like(rows), where=norms > 0)


def to_forget_set(features: np.ndarray, forget_features: np.ndarray, *, scattered: bool) -> np.ndarray:
    """Similarity to a forget set, (n,): to its centre, or, if it is scattered over classes, to its nearest images."""
    return (nearest_similarity if scattered else similarity)(features, forget_features)


def nearest(similarities: np.ndarray, k: int) -> np.ndarray:
    """Positions of the k most similar examples, nearest first; ties keep their order."""
    return np.argsort(-similarities, kind="stable")[:k]


def equal_width_bins(similarities: np.ndarray, bins: int = 10) -> np.ndarray:
    """The bin, 0 (farthest) to bins-1 (nearest), of each example: equal widths between the minimum and the maximum."""
    edges = np.linspace(similarities.min(), similarities.max(), bins + 1)
    return np.clip(np.searchsorted(edges, similarities, side="right") - 1, 0, bins - 1)


def equal_count_bins(similarities: np.ndarray, bins: int = 10) -> np.ndarray:
    """The bin, 0 (farthest) to bins-1 (nearest), of each example: equal counts, to within one; ties in order."""
    n = len(similarities)
    ranks = np.empty(n, dtype=np.int64)
    ranks[np.argsort(similarities, kind="stable")] = np.arange(n)
    return ranks * bins // max(n, 1)

"""How near an example is to the forget set, and bins along that axis (2605.31317, sec. 4.2)."""

import numpy as np

from lfcore.core.errors import InputError
from lfcore.core.run import Predictions

CHUNK = 2048
"""How many examples become float64 at a time: few enough to stay in the processor's cache, and to need no memory."""


def similarity(features: np.ndarray, forget_features: np.ndarray) -> np.ndarray:
    """Cosine between each example's features and the mean of the forget set's *unnormalised* features.

    s(x, D_f) = <h(x) / |h(x)|, u / |u|> with u the sum of h over D_f (2605.31317, sec. 4.2).
    features: (n, width); forget_features: (m, width), m >= 1. Returns (n,) in [-1, 1]; 0 where h(x) = 0.
    """
    if len(forget_features) == 0:
        raise InputError("Similarity needs at least one forget example: this forget set is empty.")
    center = forget_features.astype(np.float64).sum(axis=0)
    result = np.zeros(len(features))
    for start in range(0, len(features), CHUNK):
        part = features[start : start + CHUNK].astype(np.float64, copy=False)
        norms = np.linalg.norm(part, axis=1) * np.linalg.norm(center)
        np.divide(part @ center, norms, out=result[start : start + CHUNK], where=norms > 0)
    return result


NEIGHBOURS = 5
"""How many forget images count for a set that has no centre."""


def nearest_similarity(features: np.ndarray, forget_features: np.ndarray, k: int = NEIGHBOURS) -> np.ndarray:
    """The mean cosine between each example's features and those of its k most similar forget images (all, if fewer).

    Ours, for a forget set drawn from all classes, whose mean feature is near nothing in particular. A forget image
    counts itself. features: (n, width); forget_features: (m, width), m >= 1. Returns (n,) in [-1, 1].
    """
    if len(forget_features) == 0:
        raise InputError("Similarity needs at least one forget example: this forget set is empty.")
    other = unit(forget_features).T
    result = np.zeros(len(features))
    for start in range(0, len(features), CHUNK):
        cosines = unit(features[start : start + CHUNK]) @ other
        if k < cosines.shape[1]:
            cosines = np.partition(cosines, -k, axis=1)[:, -k:]
        result[start : start + CHUNK] = np.sort(cosines, axis=1).mean(axis=1)
    return result


def unit(features: np.ndarray) -> np.ndarray:
    """Rows of length 1, float64; rows of zeros stay. (n, width) to (n, width)."""
    features = features.astype(np.float64)
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    return np.divide(features, norms, out=np.zeros_like(features), where=norms > 0)


def to_forget_set(features: np.ndarray, forget_features: np.ndarray, *, scattered: bool) -> np.ndarray:
    """Similarity to a forget set, (n,): to its centre, or, if it is scattered over classes, to its nearest images."""
    return (nearest_similarity if scattered else similarity)(features, forget_features)


def nearest(similarities: np.ndarray, k: int) -> np.ndarray:
    """Positions of the k most similar examples, nearest first; ties keep their order."""
    farness = -similarities
    rows = np.arange(len(farness))
    if 0 < k < len(farness) and not np.isnan(edge := np.partition(farness, k - 1)[k - 1]):
        rows = np.flatnonzero(farness <= edge)  # those before the k-th, and its ties
    return rows[np.argsort(farness[rows], kind="stable")][:k]


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


def mean_similarity(originals: Predictions, forget: np.ndarray, *, scattered: bool = False) -> np.ndarray:
    """Similarity to the forget set, averaged over the originals, (n,). scattered: see `Run.scattered`."""
    found = [to_forget_set(features, features[forget], scattered=scattered) for features in originals.features]
    return np.mean(found, axis=0)

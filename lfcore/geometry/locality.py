"""Is a quantity larger near the forget set? The two statistics of that, for any similarity and any quantity."""

from functools import lru_cache

import numpy as np
from scipy.stats import rankdata


def near(similarities: np.ndarray) -> np.ndarray:
    """Positions of the most similar fifth, nearest first; ties keep their order."""
    return np.argsort(-similarities, kind="stable")[: len(similarities) // 5]


def far(similarities: np.ndarray) -> np.ndarray:
    """Positions of the least similar half."""
    n = len(similarities)
    return np.argsort(-similarities, kind="stable")[n - n // 2 :]


def near_minus_far(similarities: np.ndarray, values: np.ndarray) -> float:
    """The mean of `values` over `near` less that over `far`; NaN with fewer than five examples. Both (n,)."""
    if len(values) < 5:
        return float("nan")
    return float(values[near(similarities)].mean() - values[far(similarities)].mean())


def rank(similarities: np.ndarray, values: np.ndarray) -> float:
    """Spearman's correlation; NaN where it is undefined. Both (n,)."""
    defined = len(values) > 2 and np.ptp(similarities) > 0 and np.ptp(values) > 0
    return float(np.corrcoef([_ranks(similarities), _ranks(values)])[0, 1]) if defined else float("nan")


def _ranks(values: np.ndarray) -> np.ndarray:
    return _ranks_of(np.asarray(values, dtype=np.float64).tobytes())


@lru_cache(maxsize=128)
def _ranks_of(values: bytes) -> np.ndarray:
    """Ranks of float64 values; kept, since a metric ranks the same values against many others."""
    return rankdata(np.frombuffer(values))


def partial_rank(similarities: np.ndarray, values: np.ndarray, controls: np.ndarray) -> float:
    """Spearman's correlation with the ranks of the `controls` (n, m) regressed out of both; NaN where undefined."""
    if len(values) <= controls.shape[1] + 2 or np.ptp(similarities) == 0 or np.ptp(values) == 0:
        return float("nan")
    others = np.column_stack([np.ones(len(values)), rankdata(controls, axis=0)])
    pair = np.column_stack([rankdata(similarities), rankdata(values)])
    left = pair - others @ np.linalg.lstsq(others, pair, rcond=None)[0]
    sizes = np.linalg.norm(left, axis=0)
    return float(left[:, 0] @ left[:, 1] / sizes.prod()) if sizes.min() > 1e-9 * len(values) else float("nan")

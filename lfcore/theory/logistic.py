"""The logistic problem: draws of it, the models that interpolate its logits, and projections on its rows.

The released code's deleted logits have uniform probabilities and its queries norm 1; ours are Gaussian and have the
deleted point's norm, so that the alignment <x_q, x_f> / ||x_f||^2 is a cosine.
"""

from typing import NamedTuple

import numpy as np

from lfcore.core.errors import InputError
from lfcore.theory.sampling import generator


class Logistic(NamedTuple):
    """Retained inputs (n-f, d), deleted inputs (f, d), and the theta (d,) whose logits the references interpolate."""

    retain: np.ndarray
    forget: np.ndarray
    truth: np.ndarray

    @property
    def full(self) -> np.ndarray:
        """The min-norm theta that has the true logits on every row."""
        rows = np.vstack([self.retain, self.forget])
        return min_norm(rows, rows @ self.truth)

    @property
    def retrained(self) -> np.ndarray:
        """The min-norm theta that has the true logits on the retained rows."""
        return min_norm(self.retain, self.retain @ self.truth)


def draw_problem(
    seed: int, *, n: int, d: int, forgotten: int = 1, shared: float = 0.0, scale: float = 1.0, run: int = 0
) -> Logistic:
    """Figure 2, right: n Gaussian inputs in d >= n dimensions; deleted ones have norm sqrt(d).

    shared: how much of one common Gaussian vector every input has, so that cosines are positive as a network's are.
    scale: the standard deviation of theta's entries.
    """
    random = generator(seed, f"logistic {run}", "inputs")
    x = random.normal(size=(n, d)) + shared * generator(seed, f"logistic {run}", "shared").normal(size=d)
    forget = x[n - forgotten :]
    forget = forget * np.sqrt(d) / np.linalg.norm(forget, axis=1, keepdims=True)
    return Logistic(x[: n - forgotten], forget, generator(seed, f"logistic {run}", "truth").normal(size=d) * scale)


def draw_queries(seed: int, problem: Logistic, count: int, *, unit: bool = False, run: int = 0) -> np.ndarray:
    """Queries (count, d) in the span of the retained rows, of norm sqrt(d), or 1 as the released code has them."""
    random = generator(seed, f"logistic {run}", "queries")
    queries = random.normal(size=(count, len(problem.retain))) @ problem.retain
    norm = 1.0 if unit else np.sqrt(queries.shape[1])
    return queries * norm / np.linalg.norm(queries, axis=1, keepdims=True)


def min_norm(x: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """The shortest theta with x theta = logits. InputError unless x (n, d) has rank n, so d >= n."""
    return x.T @ np.linalg.solve(gram(x), logits)


def coefficients(x: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """alpha (q, n): x^T alpha_q is the projection of query q on the span of the rows of x (n, d)."""
    return np.linalg.solve(gram(x), x @ queries.T).T


def gram(x: np.ndarray) -> np.ndarray:
    """x x^T. InputError unless the rows of x (n, d) are independent."""
    rank = np.linalg.matrix_rank(x)
    if rank < len(x):
        raise InputError(
            f"The overparameterised case needs {len(x)} independent rows, not {rank}: give d >= n and no row twice."
        )
    return x @ x.T


def forget_coefficients(retain, forget, queries) -> np.ndarray:
    """v_F (q, f), the alpha_{q,F} of Cor A.3: zero for every query in the retained span."""
    return coefficients(np.vstack([retain, forget]), queries)[:, len(retain) :]

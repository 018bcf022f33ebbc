"""Random labels with fine-tuning, in the limit of a falling ridge: Prop 3.3 of 2605.31317.

The hard-label counterexample is ours.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import expit

from lfcore.core.errors import InputError
from lfcore.theory.logistic import Logistic, draw_problem, forget_coefficients, gram, min_norm
from lfcore.theory.sampling import Errors, discrepancy, generator, over_runs


def surrogate(x: np.ndarray, logits: np.ndarray, ridge: float) -> np.ndarray:
    """The theta that minimises the logistic losses of the rows of x (n, d) plus ridge / 2 ||theta||^2 (Prop 3.3).

    Row i has the soft target sigmoid(logits[i]): 0 is the random labels' mean 1/2, and +-inf a hard label. Newton's
    method on the n logits, from a strong ridge to the one asked for; InputError if ridge is not above zero.
    """
    if not ridge > 0:
        raise InputError(f"The surrogate objective needs a ridge above 0, not {ridge}: its limit has a closed form.")
    inverse = np.linalg.inv(gram(x))
    found = np.zeros(len(x))
    for strength in np.geomspace(max(1.0, ridge), ridge, 2 + int(abs(np.log10(ridge)))):
        found = _newton(found, inverse * strength, logits)
    return x.T @ (inverse @ found)


def _newton(found: np.ndarray, curvature: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """The root of curvature z + sigmoid(z) - sigmoid(logits); the step halves until the residual shrinks."""
    residual = curvature @ found + _sigmoid_difference(found, logits)
    for _ in range(100):
        slopes = expit(found) * expit(-found)
        step = np.linalg.solve(curvature + np.diag(slopes), residual)
        for halving in range(30):
            tried = found - step / 2**halving
            after = curvature @ tried + _sigmoid_difference(tried, logits)
            if np.linalg.norm(after) < np.linalg.norm(residual):
                break
        else:
            return found  # as far as rounding allows
        found, residual = tried, after
    return found


def _sigmoid_difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """sigmoid(a) - sigmoid(b), without cancellation where both are near 0 or 1; b may be infinite."""
    low, high = np.minimum(a, b), np.maximum(a, b)
    return np.sign(a - b) * expit(high) * expit(-low) * -np.expm1(low - high)


def limit_logits(retain, forget, retrained, queries, forget_logits=0.0) -> np.ndarray:
    """Prop 3.3's limit: <theta_retrained, x_q> - v_F^T (X_F theta_retrained - forget_logits), (q,).

    x_q = X_R^T v_R + X_F^T v_F, plus anything orthogonal to both. With forget_logits 0 it is the paper's; with a
    teacher's pseudo-logits it is Prop A.2's. True where the retained targets are finite logits, which retraining
    attains too; hard labels send both models' logits to infinity.
    """
    missing = forget @ retrained - forget_logits
    return queries @ retrained - forget_coefficients(retain, forget, queries) @ np.atleast_1d(missing)


def limits(seed: int, *, runs: int, n: int, d: int, ridges: Sequence[float]) -> pd.DataFrame:
    """Prop 3.3 as the ridge falls: largest gaps between both ridge-regularised optima, means over runs.

    Curves, for finite retained logits ("soft") and for hard labels: how far the logits of test points are from the
    limit claimed, of retained points from retraining, and the latter in probability.
    """
    rows = []
    for run in range(runs):
        problem = draw_problem(seed, n=n, d=d, scale=2 / np.sqrt(d), run=run)
        everything, test = np.vstack([problem.retain, problem.forget]), generator(seed, f"limit {run}", "queries")
        test = test.normal(size=(20, d))
        soft = problem.retain @ problem.truth
        for name, logits in {"soft": soft, "hard": np.sign(soft) * np.inf}.items():
            for ridge in ridges:
                tuned = surrogate(everything, np.append(logits, 0.0), ridge)
                retrained = surrogate(problem.retain, logits, ridge)
                claimed = limit_logits(problem.retain, problem.forget, retrained, test)
                both = problem.retain @ tuned, problem.retain @ retrained
                gaps = {
                    "test logits": test @ tuned - claimed,
                    "retained logits": both[0] - both[1],
                    "retained probabilities": _sigmoid_difference(*both),
                }
                rows += [(f"{name}, {what}", ridge, np.abs(gap).max()) for what, gap in gaps.items()]
    return over_runs(rows, "ridge")


def add_identities(found: Errors, problem: Logistic, inside: np.ndarray, outside: np.ndarray) -> None:
    """Prop 3.3 of one problem, for queries `inside` the retained span and any (`outside`), to `found`."""
    soft, zeros, ridge = problem.retain @ problem.truth, np.zeros(len(problem.forget)), 1e-14
    rows = np.vstack([problem.retain, problem.forget])
    limit = min_norm(rows, np.append(soft, zeros))
    claimed = limit_logits(problem.retain, problem.forget, problem.retrained, outside)
    found.add("limit of RL and fine-tuning, any x_q", "Prop 3.3", outside @ limit - claimed)
    found.add("the same is zero on the retained span", "Prop 3.3", discrepancy(limit, problem.retrained, inside))
    tuned = surrogate(rows, np.append(soft, zeros), ridge)
    found.add(f"Newton's optimum at ridge {ridge:g}", "Prop 3.3", outside @ tuned - claimed)
    hard = np.sign(soft) * np.inf
    tuned = surrogate(rows, np.append(hard, zeros), ridge)
    gap = problem.retain @ (tuned - surrogate(problem.retain, hard, ridge))
    found.add("the same, hard retained labels, retained logits", "Prop 3.3", gap, "counterexample")

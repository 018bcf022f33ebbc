"""Support points for a local teacher, in the logistic problem (2605.31317, Prop A.2 and Cor A.3).

The exact form of the mean mismatch of a support point is ours.
"""

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from lfcore.core.errors import InputError
from lfcore.theory import fine_tuning_limit, logistic
from lfcore.theory.sampling import Errors, bin_runs, discrepancy, generator, over_runs, squared_norm


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The cosine of `a` (d,) with each row of b (..., d). InputError if one is the zero vector."""
    norms = np.linalg.norm(a) * np.linalg.norm(b, axis=-1)
    if np.any(norms == 0):
        raise InputError("The zero vector has no cosine: leave it out.")
    return b @ a / norms


def teacher_logits(retain, point, retrained, support) -> np.ndarray:
    """The retained logits and x_f's pseudo-logit: what the min-norm model of `support` (k, d) alone says there."""
    return np.append(retain @ retrained, point @ logistic.min_norm(support, support @ retrained))


def support_residual(support, point) -> np.ndarray:
    """r_s (d,): `point` less its projection on the span of `support` (k, d)."""
    return point - support.T @ logistic.coefficients(support, point[None])[0]


def support_discrepancy(retain, point, retrained, support, queries) -> np.ndarray:
    """The left-hand side of Cor A.3: retained logits kept, x_f given the pseudo-logit, compared with retraining."""
    logits = teacher_logits(retain, point, retrained, support)
    return discrepancy(logistic.min_norm(np.vstack([retain, point]), logits), retrained, queries)


def predicted_support_discrepancy(retain, point, retrained, support, queries) -> np.ndarray:
    """The right-hand side: -alpha_{q,F} <theta_retrained, r_s>; the second factor is the target mismatch."""
    mismatch = retrained @ support_residual(support, point)
    return -logistic.forget_coefficients(retain, point[None], queries)[:, 0] * mismatch


def support_bound(retrained, point, support_point) -> float:
    """||theta_retrained|| ||x_f|| sqrt(1 - cos^2), which the mismatch of one support point can't exceed (Cor A.3)."""
    length = np.sqrt(max(0.0, 1 - cosine(point, support_point) ** 2))
    return float(np.linalg.norm(retrained) * np.linalg.norm(point) * length)


def expected_mismatch(retain, point, support) -> float:
    """The mean squared mismatch if theta_true has independent standard entries: ||P_R x_f||^2 - ||P_S x_f||^2.

    Ours. For one support point it is ||x_f||^2 (cos^2(x_f, span R) - cos^2(x_f, x_s)): the nearest by |cos| is best.
    """
    squares = [np.sum((point - support_residual(rows, point)) ** 2) for rows in (retain, support)]
    return float(squares[0] - squares[1])


def mismatch_curves(seed: int, *, runs: int, n: int, d: int, shared: float) -> pd.DataFrame:
    """The squared target mismatch of every single support point, over ||x_f||^2, by |cos(x_f, x_s)|.

    Curves: mismatch, its mean over theta_true (`expected_mismatch`), and Cor A.3's bound.
    """
    samples = []
    for run in range(runs):
        problem = logistic.draw_problem(seed, n=n, d=d, shared=shared, run=run)
        point, retrained = problem.forget[0], problem.retrained
        found = {
            "mismatch": [(retrained @ support_residual(one[None], point)) ** 2 for one in problem.retain],
            "its mean over θ": [expected_mismatch(problem.retain, point, one[None]) for one in problem.retain],
            "Cor A.3's bound": [support_bound(retrained, point, one) ** 2 for one in problem.retain],
        }
        curves = {name: np.array(values) / squared_norm(point) for name, values in found.items()}
        samples.append((np.abs(cosine(point, problem.retain)), curves))
    return bin_runs(samples, np.linspace(0, 1, 11))


def support_sizes(seed: int, *, runs: int, n: int, d: int, shared: float, sizes: Sequence[int]) -> pd.DataFrame:
    """The squared target mismatch of k support points, over ||x_f||^2: nearest, random or farthest by |cos|, or
    farthest by cosine. InputError if a size is above n - 1.
    """
    if max(sizes) > n - 1:
        raise InputError(f"There are {n - 1} retained rows to choose from, not {max(sizes)}: ask for fewer.")
    rows = []
    for run in range(runs):
        problem = logistic.draw_problem(seed, n=n, d=d, shared=shared, run=run)
        point, retrained = problem.forget[0], problem.retrained
        near = cosine(point, problem.retain)
        orders = {
            "nearest |cos|": np.argsort(-np.abs(near)),
            "random": generator(seed, f"support {run}", "order").permutation(n - 1),
            "farthest |cos|": np.argsort(np.abs(near)),
            "lowest cos": np.argsort(near),
        }
        for (name, order), size in itertools.product(orders.items(), sizes):
            mismatch = retrained @ support_residual(problem.retain[order[:size]], point)
            rows.append((name, size, mismatch**2 / squared_norm(point)))
    return over_runs(rows, "size")


def nearest_wins(seed: int, *, runs: int, n: int, d: int, shared: float) -> pd.DataFrame:
    """How often the nearest retained row by |cos| has a smaller mismatch than the farthest one, and than all others.

    Shares of runs, with the shares that a row drawn blindly would have.
    """
    wins = []
    for run in range(runs):
        problem = logistic.draw_problem(seed, n=n, d=d, shared=shared, run=run)
        point, near = problem.forget[0], np.abs(cosine(problem.forget[0], problem.retain))
        residuals = np.stack([support_residual(support[None], point) for support in problem.retain])
        mismatch = np.abs(residuals @ problem.retrained)
        first, last = mismatch[near.argmax()], mismatch[near.argmin()]
        wins.append((first < last, first == mismatch.min()))
    beaten = ["than the farthest", f"than all other {n - 2}"]
    shares = np.array(wins, dtype=float).mean(axis=0)
    return pd.DataFrame({"smaller mismatch": beaten, "share of runs": shares, "blindly": [1 / 2, 1 / (n - 1)]})


def identities(seed: int, cases: int = 50, draws: int = 20_000) -> pd.DataFrame:
    """Prop A.2 and Cor A.3: absolute errors over random cases, and the mean mismatch by Monte Carlo."""
    found = Errors(cases)
    for case in range(cases):
        problem = logistic.draw_problem(seed, n=8 + case % 5, d=14, shared=0.5 * (case % 3), scale=0.5, run=case)
        point, retrained, size = problem.forget[0], problem.retrained, 1 + case % 4
        support = problem.retain[:size]
        queries = generator(seed, f"identities {case}", "queries").normal(size=(10, 14))
        place = problem.retain, point, retrained, support, queries
        left, right = support_discrepancy(*place), predicted_support_discrepancy(*place)
        found.add("discrepancy = -alpha_{q,F} <θ_retrained, r_s>", "Cor A.3", left - right)
        logits = teacher_logits(problem.retain, point, retrained, support)
        tuned = fine_tuning_limit.surrogate(np.vstack([problem.retain, point]), logits, 1e-14)
        left = discrepancy(tuned, retrained, queries)
        found.add("the same of Newton's optimum at ridge 1e-14", "Prop A.2", left - right)
        residual = support_residual(support[:1], point)
        length = squared_norm(point) * (1 - cosine(point, support[0]) ** 2)
        found.add("||r_s||² = ||x_f||² (1 - cos²)", "Cor A.3", residual @ residual - length)
        over = np.abs(retrained @ residual) - support_bound(retrained, point, support[0])
        found.add("the bound exceeded by", "Cor A.3", max(0.0, over))
    problem = logistic.draw_problem(seed, n=10, d=14)
    truths = generator(seed, "monte carlo", "truth").normal(size=(draws, 14))
    retrained = logistic.min_norm(problem.retain, problem.retain @ truths.T).T
    squares = (retrained @ support_residual(problem.retain[:1], problem.forget[0])) ** 2
    expected = expected_mismatch(problem.retain, problem.forget[0], problem.retain[:1])
    error = squares.std(ddof=1) / np.sqrt(draws)
    found.add_score("mean squared mismatch over θ", (squares.mean() - expected) / error, draws)
    return found.table()

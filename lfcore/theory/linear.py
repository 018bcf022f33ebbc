"""Linear regression: gradient ascent on one deleted point (2605.31317, Prop 3.1).

Ascent is on the squared loss, so a step multiplies the residual at x_f by 1 + 2 lr ||x_f||^2. The released code takes
half that gradient and divides lr by ||x_f||^2 (`released_rate`), and adds no label noise: what its curve amplifies is
the bias of its 1e-6 ridge (`ridge_residual`). With the text's noise the text's 450 steps give numbers beyond any figure
(`protocols`), so our noisy version takes fewer. The exact forms at finite n are ours.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from lfcore.core.errors import InputError
from lfcore.theory.sampling import Errors, bin_runs, discrepancy, generator, over_runs, squared_norm


class Linear(NamedTuple):
    """Retained inputs (n-1, d) and targets (n-1,), the deleted point (d,) and its target, and the true theta (d,)."""

    retain: np.ndarray
    targets: np.ndarray
    point: np.ndarray
    target: float
    truth: np.ndarray


def draw_problem(seed: int, *, n: int, d: int, variance: float, run: int = 0) -> Linear:
    """Figure 2, left: n Gaussian inputs, y = <theta, x> + noise of this variance; the last row is deleted."""
    x = generator(seed, f"linear {run}", "inputs").normal(size=(n, d))
    truth = generator(seed, f"linear {run}", "truth").normal(size=d)
    noise = generator(seed, f"linear {run}", "noise").normal(size=n) * np.sqrt(variance)
    y = x @ truth + noise
    return Linear(x[:-1], y[:-1], x[-1], float(y[-1]), truth)


def least_squares(x: np.ndarray, y: np.ndarray, ridge: float = 0.0) -> np.ndarray:
    """The theta (d,) with the least ||x theta - y||^2 + ridge ||theta||^2; (d, m) if y is (n, m).

    InputError if x (n, d) has not rank d and there is no ridge.
    """
    rank = x.shape[1] if ridge > 0 else np.linalg.matrix_rank(np.linalg.qr(x, mode="r"))  # as x's, but small
    if rank < x.shape[1]:
        raise InputError(f"Least squares needs inputs of rank {x.shape[1]}, not {rank}: give more rows, or a ridge.")
    return np.linalg.solve(x.T @ x + ridge * np.eye(x.shape[1]), x.T @ y)


def fit_both(problem: Linear, ridge: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """The full and the retrained theta."""
    x, y = np.vstack([problem.retain, problem.point]), np.append(problem.targets, problem.target)
    return least_squares(x, y, ridge), least_squares(problem.retain, problem.targets, ridge)


def ascend(theta: np.ndarray, point: np.ndarray, target, *, steps: int, lr: float) -> np.ndarray:
    """theta (..., d) after `steps` ascent steps on (<theta, point> - target)^2, one by one; target is (...)."""
    for _ in range(steps):
        theta = theta + 2 * lr * (theta @ point - target)[..., None] * point
    return theta


def ascend_at_once(theta: np.ndarray, point: np.ndarray, target, *, steps: int, lr: float) -> np.ndarray:
    """What `ascend` gives, in closed form: theta moves along `point` by its residual times sqrt(c)."""
    moved = np.sqrt(ascent_constant(point, steps=steps, lr=lr)) * (theta @ point - target)
    return theta + moved[..., None] * point


def ascent_constant(point: np.ndarray, *, steps: int, lr: float) -> float:
    """The c of Prop 3.1: (((1 + 2 lr ||x_f||^2)^steps - 1) / ||x_f||^2)^2. InputError if the point is zero."""
    square = squared_norm(point)
    return (((1 + 2 * lr * square) ** steps - 1) / square) ** 2


def released_rate(lr: float, point: np.ndarray) -> float:
    """The released code's ascent rate, in the text's convention: it halves the gradient and divides by ||x_f||^2."""
    return lr / (2 * squared_norm(point))


def ascent_gap(retain, point, queries, residual, *, steps: int, lr: float, ridge: float = 0.0) -> np.ndarray:
    """<theta_unlearned - theta_retrained, x_q> exactly, of finite n: e_f (k_q / (1 - h_f) - sqrt(c) <x_q, x_f>).

    Ours. H = X^T X + ridge over all n rows, h_f = x_f^T H^-1 x_f, k_q = x_q^T H^-1 x_f, and e_f (a number, or (m,)) is
    the full model's residual y_f - <theta_full, x_f>. queries: (q, d); returns (q,) or (m, q).
    """
    *_, share = _leverage(retain, point, queries, steps=steps, lr=lr, ridge=ridge)
    return np.asarray(residual)[..., None] * share


def excess_loss(theta, retrained, queries, targets) -> np.ndarray:
    """The squared loss of theta less the retrained model's at each query, (..., q); both models are (..., d)."""
    return (theta @ queries.T - targets) ** 2 - (retrained @ queries.T - targets) ** 2


def excess_of_gap(gap, retrained, queries, targets) -> np.ndarray:
    """The same from the gap D in predictions: D^2 + 2 D (<theta_retrained, x_q> - y_q)."""
    return gap**2 + 2 * gap * (retrained @ queries.T - targets)


def leading_excess(point, queries, *, steps: int, lr: float, variance: float) -> np.ndarray:
    """Prop 3.1's prediction <x_q, x_f>^2 c s^2, without its O_p(1/n)."""
    return (queries @ point) ** 2 * ascent_constant(point, steps=steps, lr=lr) * variance


def expected_excess(
    retain, point, queries, *, steps: int, lr: float, variance: float, fresh: bool = False
) -> np.ndarray:
    """E[excess loss | X] over the label noise, exactly: s^2 (1 - h_f) (k_q / (1 - h_f) - sqrt(c) <x_q, x_f>)^2.

    Ours. At a retained training point the cross term of `excess_of_gap` has mean zero, because least-squares estimates
    are independent of residuals; so the mean squared gap is the same number. At a `fresh` point, whose label has its
    own noise, the cross term adds -2 s^2 k_q (k_q / (1 - h_f) - sqrt(c) <x_q, x_f>).
    """
    leverage, cross, share = _leverage(retain, point, queries, steps=steps, lr=lr)
    expected = variance * (1 - leverage) * share**2
    return expected - 2 * variance * cross * share if fresh else expected


def ridge_residual(retain, point, truth, ridge: float) -> float:
    """The full model's residual at x_f without label noise: ridge x_f^T (X^T X + ridge)^-1 theta_true."""
    x = np.vstack([retain, point])
    return float(ridge * point @ np.linalg.solve(x.T @ x + ridge * np.eye(len(point)), truth))


def _leverage(retain, point, queries, *, steps: int, lr: float, ridge: float = 0.0):
    """h_f, k_q (q,), and the gap to retraining over the residual, k_q / (1 - h_f) - sqrt(c) <x_q, x_f>, (q,)."""
    x = np.vstack([retain, point])
    solved = least_squares(x, np.append(np.zeros(len(retain)), 1.0), ridge)  # H^-1 x_f
    leverage, cross = point @ solved, queries @ solved
    root = np.sqrt(ascent_constant(point, steps=steps, lr=lr))
    return leverage, cross, cross / (1 - leverage) - root * (queries @ point)


def ascent_curves(
    seed: int, *, runs: int, n: int, d: int, variance: float, steps: int, lr: float, ridge: float = 0.0
) -> pd.DataFrame:
    """Figure 2, left: the excess loss of retained points by alignment, at the released code's rate.

    Curves: before unlearning, gradient ascent, and Prop 3.1's prediction, where the squared ridge residual joins the
    noise variance. The released code draws the squared gap in predictions, which has the same mean (`expected_excess`).
    """
    samples = []
    for run in range(runs):
        problem = draw_problem(seed, n=n, d=d, variance=variance, run=run)
        full, retrained = fit_both(problem, ridge)
        rate = released_rate(lr, problem.point)
        unlearned = ascend(full, problem.point, problem.target, steps=steps, lr=rate)
        amplified = variance + ridge_residual(problem.retain, problem.point, problem.truth, ridge) ** 2
        place = problem.retain, problem.targets
        curves = {
            "before unlearning": excess_loss(full, retrained, *place),
            "gradient ascent": excess_loss(unlearned, retrained, *place),
            "Prop 3.1": leading_excess(problem.point, problem.retain, steps=steps, lr=rate, variance=amplified),
        }
        samples.append((problem.retain @ problem.point / squared_norm(problem.point), curves))
    return bin_runs(samples)


def remainders(seed: int, *, runs: int, sizes: Sequence[int], d: int, steps: int, lr: float) -> pd.DataFrame:
    """The O_p(1/n) of Prop 3.1: |exact less leading expectation| over the leading, means over retained points, by n.

    Columns curve, n, mean, low, high, runs. The curve "d / n" is h_f, the larger part of it, to leading order.
    """
    rows = []
    for n, run in itertools.product(sizes, range(runs)):
        problem = draw_problem(seed, n=n, d=d, variance=1.0, run=run)
        at = {"steps": steps, "lr": released_rate(lr, problem.point), "variance": 1.0}
        leading = leading_excess(problem.point, problem.retain, **at)
        exact = expected_excess(problem.retain, problem.point, problem.retain, **at)
        rows.append(("what Prop 3.1 leaves out", n, float(np.abs(exact - leading).mean() / leading.mean())))
        rows.append(("d / n", n, d / n))
    return over_runs(rows, "n")


def protocols(*, n: int, d: int, variance: float, ridge: float, lr: float, steps: int, short: int) -> pd.DataFrame:
    """What alignment 1 gets under each reading of Figure 2's protocol, for ||x_f||^2 = d, to leading order in n.

    The ridge's mean squared residual over theta_true is ridge^2 ||H^-1 x_f||^2, about ridge^2 d / n^2.
    """
    bias = ridge**2 * d / n**2
    whole, half = 1 + 2 * lr * d, 1 + lr
    rows = [
        ("the text: noise, lr as it is", whole, steps, variance),
        ("the text's noise, the released rate", half, steps, variance),
        ("the released code: no noise, a ridge", half, steps, bias),
        ("ours: noise, the released rate, fewer steps", half, short, variance),
    ]
    found = pd.DataFrame(rows, columns=["protocol", "growth a step", "steps", "mean squared residual"])
    growth = found["growth a step"] ** found["steps"]
    return found.assign(excess=(growth - 1) ** 2 * found["mean squared residual"])


def identities(seed: int, cases: int = 50, draws: int = 20_000) -> pd.DataFrame:
    """Prop 3.1's parts: absolute errors over random cases, and Monte Carlo means in standard errors."""
    found = Errors(cases)
    for case in range(cases):
        problem = draw_problem(seed, n=12 + case, d=4, variance=0.5, run=case)
        full, retrained = fit_both(problem)
        at = {"steps": case % 12, "lr": 0.02}
        place = problem.point, problem.target
        one_by_one, at_once = ascend(full, *place, **at), ascend_at_once(full, *place, **at)
        found.add("ascent step by step = at once", "Prop 3.1", one_by_one - at_once)
        residual = problem.target - full @ problem.point
        grown = residual * (1 + 2 * at["lr"] * squared_norm(problem.point)) ** at["steps"]
        found.add("the residual at x_f grows geometrically", "Prop 3.1", problem.target - one_by_one @ place[0] - grown)
        gap = ascent_gap(problem.retain, problem.point, problem.retain, residual, **at)
        found.add("gap to retraining, finite n", "ours", discrepancy(one_by_one, retrained, problem.retain) - gap)
        measured = excess_loss(one_by_one, retrained, problem.retain, problem.targets)
        excess = excess_of_gap(gap, retrained, problem.retain, problem.targets)
        found.add("excess loss, finite n", "ours", measured - excess)
    problem, at = draw_problem(seed, n=20, d=4, variance=1.0), {"steps": 10, "lr": 0.01, "variance": 1.0}
    queries = problem.retain[:5]
    for name, (mean, error) in monte_carlo(seed, problem, queries=queries, draws=draws, **at).items():
        expected = expected_excess(problem.retain, problem.point, queries, fresh=name == "fresh excess", **at)
        found.add_score(f"E[{name} | X]", (mean - expected) / error, draws)
    return found.table()


def monte_carlo(
    seed: int, problem: Linear, *, queries: np.ndarray, draws: int, variance: float, steps: int, lr: float
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Means (q,) and standard errors (q,) over `draws` of the label noise, for the inputs of `problem`.

    queries: the first q retained rows. "excess" takes their own labels, "fresh excess" labels of their own noise, and
    "squared gap" none.
    """
    x = np.vstack([problem.retain, problem.point])
    noise = generator(seed, "monte carlo", "noise").normal(size=(len(x), draws)) * np.sqrt(variance)
    y = (x @ problem.truth)[:, None] + noise
    full, retrained = least_squares(x, y).T, least_squares(problem.retain, y[:-1]).T
    unlearned = ascend_at_once(full, problem.point, y[-1], steps=steps, lr=lr)
    fresh = generator(seed, "monte carlo", "fresh").normal(size=(draws, len(queries))) * np.sqrt(variance)
    samples = {
        "excess": excess_loss(unlearned, retrained, queries, y[: len(queries)].T),
        "fresh excess": excess_loss(unlearned, retrained, queries, queries @ problem.truth + fresh),
        "squared gap": discrepancy(unlearned, retrained, queries) ** 2,
    }
    return {name: (s.mean(axis=0), s.std(axis=0, ddof=1) / np.sqrt(draws)) for name, s in samples.items()}

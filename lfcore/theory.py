"""Linear and logistic regression, where the paper's claims are identities that can be run (2605.31317, sec. 3, app. A).

One model x -> <theta, x> without intercept; "full" saw every row, "retrained" all but the deleted ones, and a query
x_q is any vector. Rows of `retain` (r, d) stay, rows of `forget` (f, d) or the one `point` (d,) are deleted. What is
the paper's text, what is its released code and what is ours:

- *Ascent* (Prop 3.1) is on the squared loss, so a step multiplies the residual at x_f by 1 + 2 lr ||x_f||^2. The
  released code takes half that gradient and divides lr by ||x_f||^2 (`released_rate`), and adds no label noise: what
  its curve amplifies is the bias of its 1e-6 ridge (`ridge_residual`). With the text's noise the text's 450 steps give
  numbers beyond any figure (`protocols`), so our noisy version takes fewer.
- *Random labels* (Props 3.2, 3.3, A.3) descend on the logistic loss of labels drawn anew each step. The released code
  has the other sign (`sign=-1`), divides lr by ||x_f||^2, and multiplies theta by 1 - weight_decay whatever lr is
  (`decoupled`). Its deleted logits have uniform probabilities and its queries norm 1; ours are Gaussian and have the
  deleted point's norm, so that the alignment <x_q, x_f> / ||x_f||^2 is a cosine.
- *The exact forms* of Prop 3.1 at finite n, of the mean mismatch of a support point, and the hard-label counterexample
  to Prop 3.3 are ours.

Everything is float64, and every draw has its own generator by seed, run and purpose.
"""

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit

from lfcore import seeds
from lfcore.errors import InputError
from lfcore.summary import interval

EDGES = np.linspace(-1, 1, 30)
"""The edges of the alignment bins, the released code's."""


def _random(seed: int, stage: str, purpose: str) -> np.random.Generator:
    return np.random.default_rng(seeds.number(seed, f"theory {stage}", purpose))


# Linear regression: gradient ascent on one deleted point (Prop 3.1)


class Linear(NamedTuple):
    """Retained inputs (n-1, d) and targets (n-1,), the deleted point (d,) and its target, and the true theta (d,)."""

    retain: np.ndarray
    targets: np.ndarray
    point: np.ndarray
    target: float
    truth: np.ndarray


def linear_problem(seed: int, *, n: int, d: int, variance: float, run: int = 0) -> Linear:
    """Figure 2, left: n Gaussian inputs, y = <theta, x> + noise of this variance; the last row is deleted."""
    x = _random(seed, f"linear {run}", "inputs").normal(size=(n, d))
    truth = _random(seed, f"linear {run}", "truth").normal(size=d)
    noise = _random(seed, f"linear {run}", "noise").normal(size=n) * np.sqrt(variance)
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
    square = _square(point)
    return (((1 + 2 * lr * square) ** steps - 1) / square) ** 2


def released_rate(lr: float, point: np.ndarray) -> float:
    """The released code's ascent rate, in the text's convention: it halves the gradient and divides by ||x_f||^2."""
    return lr / (2 * _square(point))


def ascent_gap(retain, point, queries, residual, *, steps: int, lr: float, ridge: float = 0.0) -> np.ndarray:
    """<theta_unlearned - theta_retrained, x_q> exactly, of finite n: e_f (k_q / (1 - h_f) - sqrt(c) <x_q, x_f>).

    Ours. H = X^T X + ridge over all n rows, h_f = x_f^T H^-1 x_f, k_q = x_q^T H^-1 x_f, and e_f (a number, or (m,)) is
    the full model's residual y_f - <theta_full, x_f>. queries: (q, d); returns (q,) or (m, q).
    """
    leverage, cross = _leverage(retain, point, queries, ridge)
    root = np.sqrt(ascent_constant(point, steps=steps, lr=lr))
    return np.asarray(residual)[..., None] * (cross / (1 - leverage) - root * (queries @ point))


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
    leverage, cross = _leverage(retain, point, queries)
    root = np.sqrt(ascent_constant(point, steps=steps, lr=lr))
    share = cross / (1 - leverage) - root * (queries @ point)
    expected = variance * (1 - leverage) * share**2
    return expected - 2 * variance * cross * share if fresh else expected


def ridge_residual(retain, point, truth, ridge: float) -> float:
    """The full model's residual at x_f without label noise: ridge x_f^T (X^T X + ridge)^-1 theta_true."""
    x = np.vstack([retain, point])
    return float(ridge * point @ np.linalg.solve(x.T @ x + ridge * np.eye(len(point)), truth))


def _leverage(retain, point, queries, ridge: float = 0.0) -> tuple[float, np.ndarray]:
    x = np.vstack([retain, point])
    solved = least_squares(x, np.append(np.zeros(len(retain)), 1.0), ridge)  # H^-1 x_f
    return point @ solved, queries @ solved


def _square(point: np.ndarray) -> float:
    square = float(point @ point)
    if square == 0:
        raise InputError("The deleted point is the zero vector, which has no direction: give another.")
    return square


# Logistic regression: random labels, with and without the retained rows (Props 3.2, 3.3, A.3)


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


def logistic_problem(
    seed: int, *, n: int, d: int, forgotten: int = 1, shared: float = 0.0, scale: float = 1.0, run: int = 0
) -> Logistic:
    """Figure 2, right: n Gaussian inputs in d >= n dimensions; deleted ones have norm sqrt(d).

    shared: how much of one common Gaussian vector every input has, so that cosines are positive as a network's are.
    scale: the standard deviation of theta's entries.
    """
    random = _random(seed, f"logistic {run}", "inputs")
    x = random.normal(size=(n, d)) + shared * _random(seed, f"logistic {run}", "shared").normal(size=d)
    forget = x[n - forgotten :]
    forget = forget * np.sqrt(d) / np.linalg.norm(forget, axis=1, keepdims=True)
    return Logistic(x[: n - forgotten], forget, _random(seed, f"logistic {run}", "truth").normal(size=d) * scale)


def draw_queries(seed: int, problem: Logistic, count: int, *, unit: bool = False, run: int = 0) -> np.ndarray:
    """Queries (count, d) in the span of the retained rows, of norm sqrt(d), or 1 as the released code has them."""
    random = _random(seed, f"logistic {run}", "queries")
    queries = random.normal(size=(count, len(problem.retain))) @ problem.retain
    norm = 1.0 if unit else np.sqrt(queries.shape[1])
    return queries * norm / np.linalg.norm(queries, axis=1, keepdims=True)


def draw_labels(seed: int, shape: Sequence[int], stage: str = "logistic") -> np.ndarray:
    """Labels 0 and 1 with probability 1/2; shape (..., steps, f)."""
    return _random(seed, stage, "labels").integers(0, 2, size=shape).astype(float)


def min_norm(x: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """The shortest theta with x theta = logits. InputError unless x (n, d) has rank n, so d >= n."""
    return x.T @ np.linalg.solve(_gram(x), logits)


def coefficients(x: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """alpha (q, n): x^T alpha_q is the projection of query q on the span of the rows of x (n, d)."""
    return np.linalg.solve(_gram(x), x @ queries.T).T


def _gram(x: np.ndarray) -> np.ndarray:
    rank = np.linalg.matrix_rank(x)
    if rank < len(x):
        raise InputError(
            f"The overparameterised case needs {len(x)} independent rows, not {rank}: give d >= n and no row twice."
        )
    return x @ x.T


def robbins_monro(steps: int, lr: float, power: float = 0.6) -> np.ndarray:
    """Steps lr / (1 + t)^power: their sum diverges and the sum of their squares does not, for power in (1/2, 1]."""
    if not 0.5 < power <= 1:
        raise InputError(f"Robbins-Monro steps need a power above 1/2 and at most 1, not {power}: choose another.")
    return lr / (1 + np.arange(steps)) ** power


def decay(lr, weight_decay: float, steps: int, *, decoupled: bool = False) -> np.ndarray:
    """What each step multiplies theta by, (..., steps): 1 - lr weight_decay, or 1 - weight_decay if decoupled.

    Their product is Gamma. lr: a number, or (..., steps). decoupled: the released code's.
    """
    rates = np.ones(steps) if decoupled else _rates(lr, steps)
    return 1 - rates * weight_decay


def _rates(lr, steps: int) -> np.ndarray:
    lr = np.asarray(lr, dtype=float)
    return np.broadcast_to(lr, (*lr.shape[:-1], steps))


def random_labels(
    theta: np.ndarray, rows: np.ndarray, labels: np.ndarray, probabilities: np.ndarray | None = None, *, lr,
    weight_decay: float = 0.0, sign: int = 1, decoupled: bool = False,
) -> np.ndarray:  # fmt: skip
    """theta (..., d) after one step for each of `labels` (..., steps, f): theta <- decay theta + lr x^T (y - sigmoid).

    rows: (..., a, d), the deleted rows first; the others are fine-tuned on `probabilities` (a - f,), their targets.
    sign: 1 is the text's descent on the labels' logistic loss, -1 the released code's, which is ascent on it.
    """
    factors, rates = decay(lr, weight_decay, labels.shape[-2], decoupled=decoupled), _rates(lr, labels.shape[-2])
    _check_sign(sign)
    for step in range(labels.shape[-2]):
        logits = (rows @ theta[..., None])[..., 0]
        pull = (_targets(labels[..., step, :], probabilities) - expit(logits))[..., None, :] @ rows
        theta = factors[..., step, None] * theta + sign * rates[..., step, None] * pull[..., 0, :]
    return theta


def random_label_logits(
    logits: np.ndarray, gram: np.ndarray, labels: np.ndarray, probabilities: np.ndarray | None = None, *, lr,
    weight_decay: float = 0.0, sign: int = 1, decoupled: bool = False,
) -> np.ndarray:  # fmt: skip
    """The logits (..., a) of the trained rows after `random_labels`, by gram = X_A X_A^T alone, without theta."""
    factors, rates = decay(lr, weight_decay, labels.shape[-2], decoupled=decoupled), _rates(lr, labels.shape[-2])
    _check_sign(sign)
    for step in range(labels.shape[-2]):
        error = _targets(labels[..., step, :], probabilities) - expit(logits)
        logits = factors[..., step, None] * logits + sign * rates[..., step, None] * (error @ gram)
    return logits


def _targets(labels: np.ndarray, probabilities: np.ndarray | None) -> np.ndarray:
    if probabilities is None:
        return labels
    return np.concatenate([labels, np.broadcast_to(probabilities, (*labels.shape[:-1], len(probabilities)))], axis=-1)


def _check_sign(sign: int) -> None:
    if sign not in (1, -1):
        raise InputError(f"The sign of the update is 1 (the text's) or -1 (the released code's), not {sign}.")


def discrepancy(theta, retrained, queries) -> np.ndarray:
    """The left-hand side of Prop 3.2: <theta, x_q> - <theta_retrained, x_q>, (..., q)."""
    return (theta - retrained) @ queries.T


def predicted_discrepancy(rows, queries, before, after, gamma: float, full, retrained=None) -> np.ndarray:
    """The right-hand side: (Gamma - 1) z_q(0) + alpha_q^T (z_A(T) - Gamma z_A(0)), z the logits of `rows` (a, d).

    Prop 3.2, for queries on which both references agree, as they do on the retained span and in general not off it.
    With `retrained`, <theta_full - theta_retrained, x_q> is added: A.3's form, for any query.
    before: (a,), after: (..., a); returns (..., q).
    """
    found = (gamma - 1) * (queries @ full) + (after - gamma * before) @ coefficients(rows, queries).T
    return found if retrained is None else found + discrepancy(full, retrained, queries)


def predicted_variance(rows, queries, covariance: np.ndarray) -> np.ndarray:
    """Prop 3.2: alpha_q^T Cov(z_A(T)) alpha_q, the variance of the discrepancy over the labels, (q,)."""
    alpha = coefficients(rows, queries)
    return np.einsum("qa,ab,qb->q", alpha, covariance, alpha)


def surrogate(x: np.ndarray, logits: np.ndarray, ridge: float) -> np.ndarray:
    """The theta that minimises the logistic losses of the rows of x (n, d) plus ridge / 2 ||theta||^2 (Prop 3.3).

    Row i has the soft target sigmoid(logits[i]): 0 is the random labels' mean 1/2, and +-inf a hard label. Newton's
    method on the n logits, from a strong ridge to the one asked for; InputError if ridge is not above zero.
    """
    if not ridge > 0:
        raise InputError(f"The surrogate objective needs a ridge above 0, not {ridge}: its limit has a closed form.")
    inverse = np.linalg.inv(_gram(x))
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


def forget_coefficients(retain, forget, queries) -> np.ndarray:
    """v_F (q, f), the alpha_{q,F} of Cor A.3: zero for every query in the retained span."""
    return coefficients(np.vstack([retain, forget]), queries)[:, len(retain) :]


# Support points for a local teacher (Prop A.2, Cor A.3)


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The cosine of `a` (d,) with each row of b (..., d). InputError if one is the zero vector."""
    norms = np.linalg.norm(a) * np.linalg.norm(b, axis=-1)
    if np.any(norms == 0):
        raise InputError("The zero vector has no cosine: leave it out.")
    return b @ a / norms


def pseudo_logit(retrained, support, point) -> float:
    """What the min-norm model of the retained logits of `support` (k, d) alone says at `point`."""
    return float(point @ min_norm(support, support @ retrained))


def support_residual(support, point) -> np.ndarray:
    """r_s (d,): `point` less its projection on the span of `support` (k, d)."""
    return point - support.T @ coefficients(support, point[None])[0]


def support_discrepancy(retain, point, retrained, support, queries) -> np.ndarray:
    """The left-hand side of Cor A.3: retained logits kept, x_f given the pseudo-logit, compared with retraining."""
    rows = np.vstack([retain, point])
    logits = np.append(retain @ retrained, pseudo_logit(retrained, support, point))
    return discrepancy(min_norm(rows, logits), retrained, queries)


def predicted_support_discrepancy(retain, point, retrained, support, queries) -> np.ndarray:
    """The right-hand side: -alpha_{q,F} <theta_retrained, r_s>; the second factor is the target mismatch."""
    mismatch = retrained @ support_residual(support, point)
    return -forget_coefficients(retain, point[None], queries)[:, 0] * mismatch


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


# Tables


def bin_runs(samples: Iterable[tuple[np.ndarray, dict[str, np.ndarray]]], edges: np.ndarray = EDGES) -> pd.DataFrame:
    """Curves over bins, with 95 % Student intervals over independent runs: a run gives one number to a bin.

    samples: for each run the queries' alignments (q,) and, by the name of a curve, their values (q,).
    Returns columns curve, bin, alignment, mean, low, high, runs; a bin that no query fell into has no row.
    """
    rows = []
    for run, (alignment, curves) in enumerate(samples):
        place = np.digitize(alignment, edges) - 1
        inside = (place >= 0) & (place < len(edges) - 1)
        count = np.bincount(place[inside], minlength=len(edges) - 1)
        for name, values in {"": alignment, **curves}.items():
            total = np.bincount(place[inside], weights=values[inside], minlength=len(edges) - 1)
            rows += [(run, name, bin, total[bin] / count[bin]) for bin in np.flatnonzero(count)]
    table = pd.DataFrame(rows, columns=["run", "curve", "bin", "value"])
    places = table[table["curve"] == ""].groupby("bin")["value"].mean().rename("alignment")
    return _over_runs(table[table["curve"] != ""], ["curve", "bin"]).join(places, on="bin")


def _over_runs(table: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Mean and 95 % Student interval of the column `value` over the runs."""
    found = table.groupby(by, sort=False)["value"].agg(mean="mean", sd="std", runs="size").reset_index()
    found["low"], found["high"] = interval(found["mean"], found["sd"] / np.sqrt(found["runs"]), found["runs"] - 1)
    return found.drop(columns="sd")


def ascent_curves(
    seed: int, *, runs: int, n: int, d: int, variance: float, steps: int, lr: float, ridge: float = 0.0
) -> pd.DataFrame:
    """Figure 2, left: the excess loss of retained points by alignment, at the released code's rate.

    Curves: before unlearning, gradient ascent, and Prop 3.1's prediction, where the squared ridge residual joins the
    noise variance. The released code draws the squared gap in predictions, which has the same mean (`expected_excess`).
    """
    samples = []
    for run in range(runs):
        problem = linear_problem(seed, n=n, d=d, variance=variance, run=run)
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
        samples.append((problem.retain @ problem.point / _square(problem.point), curves))
    return bin_runs(samples)


def remainders(seed: int, *, runs: int, sizes: Sequence[int], d: int, steps: int, lr: float) -> pd.DataFrame:
    """The O_p(1/n) of Prop 3.1: |exact less leading expectation| over the leading, means over retained points, by n.

    Columns curve, n, mean, low, high, runs. The curve "d / n" is h_f, the larger part of it, to leading order.
    """
    rows = []
    for n, run in itertools.product(sizes, range(runs)):
        problem = linear_problem(seed, n=n, d=d, variance=1.0, run=run)
        at = {"steps": steps, "lr": released_rate(lr, problem.point), "variance": 1.0}
        leading = leading_excess(problem.point, problem.retain, **at)
        exact = expected_excess(problem.retain, problem.point, problem.retain, **at)
        rows.append(("what Prop 3.1 leaves out", n, float(np.abs(exact - leading).mean() / leading.mean())))
        rows.append(("d / n", n, d / n))
    return _over_runs(pd.DataFrame(rows, columns=["curve", "n", "value"]), ["curve", "n"])


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


def random_label_curves(
    seed: int, *, runs: int, n: int, d: int, queries: int, steps: int, lr: float, weight_decay: float = 0.0,
    unit: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """Figure 2, right: the squared logit gap to retraining of queries in the retained span, by alignment.

    Curves: before unlearning, descent with the text's rate and with the rate over ||x_f||^2, and the released update,
    whose sign is flipped and whose weight decay is decoupled. All share their labels.
    """
    problems = [logistic_problem(seed, n=n, d=d, run=run) for run in range(runs)]
    forget, full = np.stack([p.forget for p in problems]), np.stack([p.full for p in problems])
    labels = draw_labels(seed, (runs, steps, 1))
    divided = np.broadcast_to(lr / (forget**2).sum(axis=(1, 2))[:, None], (runs, steps))
    rest = {"weight_decay": weight_decay}
    unlearned = {
        "before unlearning": full,
        "descent, lr": random_labels(full, forget, labels, lr=lr, **rest),
        "descent, lr / ||x_f||²": random_labels(full, forget, labels, lr=divided, **rest),
        "released: ascent, lr / ||x_f||²": random_labels(
            full, forget, labels, lr=divided, sign=-1, decoupled=True, **rest
        ),
    }
    samples = []
    for run, problem in enumerate(problems):
        drawn, point = draw_queries(seed, problem, queries, unit=unit, run=run), problem.forget[0]
        gaps = {name: discrepancy(theta[run], problem.retrained, drawn) ** 2 for name, theta in unlearned.items()}
        samples.append((drawn @ point / _square(point), gaps))
    return bin_runs(samples)


def drifts(
    seed: int, *, runs: int, n: int, d: int, queries: int, steps: int, lr: float, weight_decay: float, marks: int = 25
) -> pd.DataFrame:
    """The discrepancy of queries in the retained span as random labels go on, over the size of the retrained logits.

    Both sizes are root mean squares over queries. Curves: no weight decay, weight decay with constant steps, and with
    Robbins-Monro steps that start at ten times the rate. At 1 the model is as wrong as the one that says 0 everywhere.
    """
    problems = [logistic_problem(seed, n=n, d=d, run=run) for run in range(runs)]
    forget, full = np.stack([p.forget for p in problems]), np.stack([p.full for p in problems])
    drawn = np.stack([draw_queries(seed, problem, queries, run=run) for run, problem in enumerate(problems)])
    retrained = np.stack([problem.retrained for problem in problems])
    labels = draw_labels(seed, (runs, steps, 1), "drift")
    stops = np.unique(np.geomspace(1, steps, marks).astype(int))
    rows = []
    for name, rates, decaying in (
        ("no weight decay", np.full(steps, lr), 0.0),
        ("weight decay, constant steps", np.full(steps, lr), weight_decay),
        ("weight decay, Robbins-Monro steps", robbins_monro(steps, 10 * lr), weight_decay),
    ):
        theta = full
        for start, stop in itertools.pairwise([0, *stops]):
            part = slice(start, stop)
            theta = random_labels(theta, forget, labels[:, part], lr=rates[part], weight_decay=decaying)
            rows += [(name, stop, value) for value in _rms(drawn, theta - retrained) / _rms(drawn, retrained)]
    return _over_runs(pd.DataFrame(rows, columns=["curve", "steps", "value"]), ["curve", "steps"])


def _rms(queries: np.ndarray, theta: np.ndarray) -> np.ndarray:
    return np.sqrt(((queries @ theta[..., None])[..., 0] ** 2).mean(axis=-1))


def limits(seed: int, *, runs: int, n: int, d: int, ridges: Sequence[float]) -> pd.DataFrame:
    """Prop 3.3 as the ridge falls: largest gaps between both ridge-regularised optima, means over runs.

    Curves, for finite retained logits ("soft") and for hard labels: how far the logits of test points are from the
    limit claimed, of retained points from retraining, and the latter in probability.
    """
    rows = []
    for run in range(runs):
        problem = logistic_problem(seed, n=n, d=d, scale=2 / np.sqrt(d), run=run)
        everything, test = np.vstack([problem.retain, problem.forget]), _random(seed, f"limit {run}", "queries")
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
    return _over_runs(pd.DataFrame(rows, columns=["curve", "ridge", "value"]), ["curve", "ridge"])


def mismatch_curves(seed: int, *, runs: int, n: int, d: int, shared: float) -> pd.DataFrame:
    """The squared target mismatch of every single support point, over ||x_f||^2, by |cos(x_f, x_s)|.

    Curves: mismatch, its mean over theta_true (`expected_mismatch`), and Cor A.3's bound.
    """
    samples = []
    for run in range(runs):
        problem = logistic_problem(seed, n=n, d=d, shared=shared, run=run)
        point, retrained = problem.forget[0], problem.retrained
        pairs = [
            (
                (retrained @ support_residual(support[None], point)) ** 2,
                expected_mismatch(problem.retain, point, support[None]),
                support_bound(retrained, point, support) ** 2,
            )
            for support in problem.retain
        ]
        names = ("mismatch", "its mean over θ", "Cor A.3's bound")
        curves = dict(zip(names, np.array(pairs).T / _square(point), strict=True))
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
        problem = logistic_problem(seed, n=n, d=d, shared=shared, run=run)
        point, retrained = problem.forget[0], problem.retrained
        near = cosine(point, problem.retain)
        orders = {
            "nearest |cos|": np.argsort(-np.abs(near)),
            "random": _random(seed, f"support {run}", "order").permutation(n - 1),
            "farthest |cos|": np.argsort(np.abs(near)),
            "lowest cos": np.argsort(near),
        }
        for (name, order), size in itertools.product(orders.items(), sizes):
            mismatch = retrained @ support_residual(problem.retain[order[:size]], point)
            rows.append((name, size, mismatch**2 / _square(point)))
    return _over_runs(pd.DataFrame(rows, columns=["curve", "size", "value"]), ["curve", "size"])


def nearest_wins(seed: int, *, runs: int, n: int, d: int, shared: float) -> pd.DataFrame:
    """How often the nearest retained row by |cos| has a smaller mismatch than the farthest one, and than all others.

    Shares of runs, with the shares that a row drawn blindly would have.
    """
    wins = []
    for run in range(runs):
        problem = logistic_problem(seed, n=n, d=d, shared=shared, run=run)
        point, near = problem.forget[0], np.abs(cosine(problem.forget[0], problem.retain))
        residuals = np.stack([support_residual(support[None], point) for support in problem.retain])
        mismatch = np.abs(residuals @ problem.retrained)
        first, last = mismatch[near.argmax()], mismatch[near.argmin()]
        wins.append((first < last, first == mismatch.min()))
    beaten = ["than the farthest", f"than all other {n - 2}"]
    shares = np.array(wins, dtype=float).mean(axis=0)
    return pd.DataFrame({"smaller mismatch": beaten, "share of runs": shares, "blindly": [1 / 2, 1 / (n - 1)]})


# Each identity with its largest error over random cases


def linear_identities(seed: int, cases: int = 50, draws: int = 20_000) -> pd.DataFrame:
    """Prop 3.1's parts: absolute errors over random cases, and Monte Carlo means in standard errors."""
    found = _Errors(cases)
    for case in range(cases):
        problem = linear_problem(seed, n=12 + case, d=4, variance=0.5, run=case)
        full, retrained = fit_both(problem)
        at = {"steps": case % 12, "lr": 0.02}
        place = problem.point, problem.target
        one_by_one, at_once = ascend(full, *place, **at), ascend_at_once(full, *place, **at)
        found.add("ascent step by step = at once", "Prop 3.1", one_by_one - at_once)
        residual = problem.target - full @ problem.point
        grown = residual * (1 + 2 * at["lr"] * _square(problem.point)) ** at["steps"]
        found.add("the residual at x_f grows geometrically", "Prop 3.1", problem.target - one_by_one @ place[0] - grown)
        gap = ascent_gap(problem.retain, problem.point, problem.retain, residual, **at)
        found.add("gap to retraining, finite n", "ours", discrepancy(one_by_one, retrained, problem.retain) - gap)
        measured = excess_loss(one_by_one, retrained, problem.retain, problem.targets)
        excess = excess_of_gap(gap, retrained, problem.retain, problem.targets)
        found.add("excess loss, finite n", "ours", measured - excess)
    problem, at = linear_problem(seed, n=20, d=4, variance=1.0), {"steps": 10, "lr": 0.01, "variance": 1.0}
    queries = problem.retain[:5]
    for name, (mean, error) in linear_monte_carlo(seed, problem, queries=queries, draws=draws, **at).items():
        expected = expected_excess(problem.retain, problem.point, queries, fresh=name == "fresh excess", **at)
        found.add_score(f"E[{name} | X]", (mean - expected) / error, draws)
    return found.table()


def linear_monte_carlo(
    seed: int, problem: Linear, *, queries: np.ndarray, draws: int, variance: float, steps: int, lr: float
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Means (q,) and standard errors (q,) over `draws` of the label noise, for the inputs of `problem`.

    queries: the first q retained rows. "excess" takes their own labels, "fresh excess" labels of their own noise, and
    "squared gap" none.
    """
    x = np.vstack([problem.retain, problem.point])
    noise = _random(seed, "monte carlo", "noise").normal(size=(len(x), draws)) * np.sqrt(variance)
    y = (x @ problem.truth)[:, None] + noise
    full, retrained = least_squares(x, y).T, least_squares(problem.retain, y[:-1]).T
    unlearned = ascend_at_once(full, problem.point, y[-1], steps=steps, lr=lr)
    fresh = _random(seed, "monte carlo", "fresh").normal(size=(draws, len(queries))) * np.sqrt(variance)
    samples = {
        "excess": excess_loss(unlearned, retrained, queries, y[: len(queries)].T),
        "fresh excess": excess_loss(unlearned, retrained, queries, queries @ problem.truth + fresh),
        "squared gap": discrepancy(unlearned, retrained, queries) ** 2,
    }
    return {name: (s.mean(axis=0), s.std(axis=0, ddof=1) / np.sqrt(draws)) for name, s in samples.items()}


def logistic_identities(seed: int, cases: int = 50) -> pd.DataFrame:
    """Props 3.2, 3.3 and A.3: absolute errors over random cases, and where a statement needs its assumption."""
    found = _Errors(cases)
    for case in range(cases):
        problem = logistic_problem(seed, n=8 + case % 5, d=14, forgotten=1 + case % 3, scale=0.5, run=case)
        full, retrained = problem.full, problem.retrained
        inside = draw_queries(seed, problem, 10, run=case)
        outside = _random(seed, f"identities {case}", "queries").normal(size=(10, 14))
        labels = draw_labels(seed, (30, 40, len(problem.forget)), f"identities {case}")
        at = {"lr": robbins_monro(40, 0.2) if case % 2 else 0.05, "weight_decay": 0.1, "sign": 1 if case % 4 else -1}
        gamma = decay(at["lr"], at["weight_decay"], 40).prod()
        theta = random_labels(full, problem.forget, labels, **at)
        before = problem.forget @ full
        after = random_label_logits(before, problem.forget @ problem.forget.T, labels, **at)
        right = predicted_discrepancy(problem.forget, inside, before, after, gamma, full)
        found.add("discrepancy, x_q in the retained span", "Prop 3.2", discrepancy(theta, retrained, inside) - right)
        sampled = discrepancy(theta, retrained, inside).var(axis=0, ddof=1)
        covariance = np.atleast_2d(np.cov(after.T))
        found.add("variance over labels", "Prop 3.2", sampled - predicted_variance(problem.forget, inside, covariance))
        right = predicted_discrepancy(problem.forget, outside, before, after, gamma, full)
        left = discrepancy(theta, retrained, outside)
        found.add("the same at any x_q", "Prop 3.2", left - right, "counterexample")
        right = predicted_discrepancy(problem.forget, outside, before, after, gamma, full, retrained)
        found.add("the same with the references' gap added", "Prop A.3", left - right)
        rows = np.vstack([problem.forget, problem.retain])
        probabilities = expit(problem.retain @ problem.truth)
        tuned = random_labels(full, rows, labels, probabilities, **at)
        after = random_label_logits(rows @ full, rows @ rows.T, labels, probabilities, **at)
        right = predicted_discrepancy(rows, outside, rows @ full, after, gamma, full, retrained)
        found.add("discrepancy with fine-tuning, any x_q", "Prop A.3", discrepancy(tuned, retrained, outside) - right)
        _add_limit(found, problem, inside, outside)
    return found.table()


def _add_limit(found: "_Errors", problem: Logistic, inside: np.ndarray, outside: np.ndarray) -> None:
    soft, ridge = problem.retain @ problem.truth, 1e-14
    rows = np.vstack([problem.retain, problem.forget])
    limit = min_norm(rows, np.append(soft, np.zeros(len(problem.forget))))
    claimed = limit_logits(problem.retain, problem.forget, problem.retrained, outside)
    found.add("limit of RL and fine-tuning, any x_q", "Prop 3.3", outside @ limit - claimed)
    found.add("the same is zero on the retained span", "Prop 3.3", discrepancy(limit, problem.retrained, inside))
    tuned = surrogate(rows, np.append(soft, np.zeros(len(problem.forget))), ridge)
    found.add(f"Newton's optimum at ridge {ridge:g}", "Prop 3.3", outside @ tuned - claimed)
    hard = np.sign(soft) * np.inf
    tuned = surrogate(rows, np.append(hard, np.zeros(len(problem.forget))), ridge)
    gap = problem.retain @ (tuned - surrogate(problem.retain, hard, ridge))
    found.add("the same, hard retained labels, retained logits", "Prop 3.3", gap, "counterexample")


def support_identities(seed: int, cases: int = 50, draws: int = 20_000) -> pd.DataFrame:
    """Prop A.2 and Cor A.3: absolute errors over random cases, and the mean mismatch by Monte Carlo."""
    found = _Errors(cases)
    for case in range(cases):
        problem = logistic_problem(seed, n=8 + case % 5, d=14, shared=0.5 * (case % 3), scale=0.5, run=case)
        point, retrained, size = problem.forget[0], problem.retrained, 1 + case % 4
        support = problem.retain[:size]
        queries = _random(seed, f"identities {case}", "queries").normal(size=(10, 14))
        place = problem.retain, point, retrained, support, queries
        left, right = support_discrepancy(*place), predicted_support_discrepancy(*place)
        found.add("discrepancy = -alpha_{q,F} <θ_retrained, r_s>", "Cor A.3", left - right)
        logits = np.append(problem.retain @ retrained, pseudo_logit(retrained, support, point))
        tuned = surrogate(np.vstack([problem.retain, point]), logits, 1e-14)
        left = discrepancy(tuned, retrained, queries)
        found.add("the same of Newton's optimum at ridge 1e-14", "Prop A.2", left - right)
        residual = support_residual(support[:1], point)
        length = _square(point) * (1 - cosine(point, support[0]) ** 2)
        found.add("||r_s||² = ||x_f||² (1 - cos²)", "Cor A.3", residual @ residual - length)
        over = np.abs(retrained @ residual) - support_bound(retrained, point, support[0])
        found.add("the bound exceeded by", "Cor A.3", max(0.0, over))
    problem = logistic_problem(seed, n=10, d=14)
    truths = _random(seed, "monte carlo", "truth").normal(size=(draws, 14))
    retrained = min_norm(problem.retain, problem.retain @ truths.T).T
    squares = (retrained @ support_residual(problem.retain[:1], problem.forget[0])) ** 2
    expected = expected_mismatch(problem.retain, problem.forget[0], problem.retain[:1])
    error = squares.std(ddof=1) / np.sqrt(draws)
    found.add_score("mean squared mismatch over θ", (squares.mean() - expected) / error, draws)
    return found.table()


class _Errors:
    """The largest absolute error of each identity over the cases."""

    def __init__(self, cases: int):
        self.cases, self.rows = cases, {}

    def add(self, identity: str, source: str, error, kind: str = "identity") -> None:
        known = self.rows.get(identity, (source, kind, 0.0, self.cases))
        self.rows[identity] = (source, kind, max(known[2], float(np.abs(error).max())), self.cases)

    def add_score(self, identity: str, score, draws: int) -> None:
        """A Monte Carlo mean less its expectation, in standard errors."""
        self.rows[f"{identity}, in standard errors"] = ("ours", "mean", float(np.abs(score).max()), draws)

    def table(self) -> pd.DataFrame:
        records = [(identity, *row) for identity, row in self.rows.items()]
        return pd.DataFrame(records, columns=["identity", "source", "kind", "largest error", "cases"])


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """A small table for the end of a notebook: numbers to three digits, in scientific notation where they need it."""
    return table.map(lambda value: f"{value:.3g}" if isinstance(value, float) else value)

"""Logistic regression: random labels, with and without the retained rows (2605.31317, Props 3.2, 3.3 and A.3).

Random labels descend on the logistic loss of labels drawn anew each step. The released code has the other sign
(`sign=-1`), divides lr by ||x_f||^2, and multiplies theta by 1 - weight_decay whatever lr is (`decoupled`). Its deleted
logits have uniform probabilities and its queries norm 1; ours are Gaussian and have the deleted point's norm, so that
the alignment <x_q, x_f> / ||x_f||^2 is a cosine. The hard-label counterexample to Prop 3.3 is ours.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import expit

from lfcore.core.errors import InputError
from lfcore.theory.sampling import Errors, bin_runs, discrepancy, generator, over_runs, squared_norm


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


def draw_labels(seed: int, shape: Sequence[int], stage: str = "logistic") -> np.ndarray:
    """Labels 0 and 1 with probability 1/2; shape (..., steps, f)."""
    return generator(seed, stage, "labels").integers(0, 2, size=shape).astype(float)


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


def random_label_curves(
    seed: int, *, runs: int, n: int, d: int, queries: int, steps: int, lr: float, weight_decay: float = 0.0,
    unit: bool = False,
) -> pd.DataFrame:  # fmt: skip
    """Figure 2, right: the squared logit gap to retraining of queries in the retained span, by alignment.

    Curves: before unlearning, descent with the text's rate and with the rate over ||x_f||^2, and the released update,
    whose sign is flipped and whose weight decay is decoupled. All share their labels.
    """
    problems = [draw_problem(seed, n=n, d=d, run=run) for run in range(runs)]
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
        samples.append((drawn @ point / squared_norm(point), gaps))
    return bin_runs(samples)


def drifts(
    seed: int, *, runs: int, n: int, d: int, queries: int, steps: int, lr: float, weight_decay: float, marks: int = 25
) -> pd.DataFrame:
    """The discrepancy of queries in the retained span as random labels go on, over the size of the retrained logits.

    Both sizes are root mean squares over queries. Curves: no weight decay, weight decay with constant steps, and with
    Robbins-Monro steps that start at ten times the rate. At 1 the model is as wrong as the one that says 0 everywhere.
    """
    problems = [draw_problem(seed, n=n, d=d, run=run) for run in range(runs)]
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
    return over_runs(pd.DataFrame(rows, columns=["curve", "steps", "value"]), ["curve", "steps"])


def _rms(queries: np.ndarray, theta: np.ndarray) -> np.ndarray:
    return np.sqrt(((queries @ theta[..., None])[..., 0] ** 2).mean(axis=-1))


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
    return over_runs(pd.DataFrame(rows, columns=["curve", "ridge", "value"]), ["curve", "ridge"])


def identities(seed: int, cases: int = 50) -> pd.DataFrame:
    """Props 3.2, 3.3 and A.3: absolute errors over random cases, and where a statement needs its assumption."""
    found = Errors(cases)
    for case in range(cases):
        problem = draw_problem(seed, n=8 + case % 5, d=14, forgotten=1 + case % 3, scale=0.5, run=case)
        full, retrained = problem.full, problem.retrained
        inside = draw_queries(seed, problem, 10, run=case)
        outside = generator(seed, f"identities {case}", "queries").normal(size=(10, 14))
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


def _add_limit(found: Errors, problem: Logistic, inside: np.ndarray, outside: np.ndarray) -> None:
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

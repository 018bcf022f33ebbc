"""Random labels in the logistic problem: Prop 3.2 of 2605.31317, and A.3's form of it with fine-tuning.

Each step descends on the logistic loss of labels drawn anew. The released code has the other sign (`sign=-1`), divides
lr by ||x_f||^2, and multiplies theta by 1 - weight_decay whatever lr is (`decoupled`).
"""

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import expit

from lfcore.core.errors import InputError
from lfcore.theory.fine_tuning_limit import add_identities
from lfcore.theory.logistic import coefficients, draw_problem, draw_queries
from lfcore.theory.sampling import Errors, bin_runs, discrepancy, generator, over_runs, squared_norm


def draw_labels(seed: int, shape: Sequence[int], stage: str = "logistic") -> np.ndarray:
    """Labels 0 and 1 with probability 1/2; shape (..., steps, f)."""
    return generator(seed, stage, "labels").integers(0, 2, size=shape).astype(float)


def robbins_monro(steps: int, lr: float, power: float = 0.6) -> np.ndarray:
    """Steps lr / (1 + t)^power: their sum diverges and the sum of their squares does not, for power in (1/2, 1]."""
    if not 0.5 < power <= 1:
        raise InputError(f"Robbins-Monro steps need a power above 1/2 and at most 1, not {power}: choose another.")
    return lr / (1 + np.arange(steps)) ** power


def decay(lr, weight_decay: float, steps: int, *, decoupled: bool = False) -> np.ndarray:
    """What each step multiplies theta by, (..., steps): 1 - lr weight_decay, or 1 - weight_decay if decoupled.

    Their product is Gamma. lr: a number, or (..., steps). decoupled: the released code's.
    """
    return 1 - np.broadcast_to(1.0 if decoupled else lr, (*np.shape(lr)[:-1], steps)) * weight_decay


def _schedule(labels, probabilities=(), *, lr, weight_decay: float = 0.0, sign: int = 1, decoupled: bool = False):
    """For each step what multiplies theta, what multiplies the pull, and the targets (..., a).

    sign: 1 is the text's descent on the labels' logistic loss, -1 the released code's, which is ascent on it.
    """
    if sign not in (1, -1):
        raise InputError(f"The sign of the update is 1 (the text's) or -1 (the released code's), not {sign}.")
    kept = np.broadcast_to(probabilities, (*labels.shape[:-1], len(probabilities)))
    targets, steps = np.concatenate([labels, kept], axis=-1), labels.shape[-2]
    factors = decay(lr, weight_decay, steps, decoupled=decoupled)
    rates = sign * np.broadcast_to(lr, (*np.shape(lr)[:-1], steps))
    for step in range(steps):
        yield factors[..., step, None], rates[..., step, None], targets[..., step, :]


def random_labels(theta: np.ndarray, rows: np.ndarray, labels: np.ndarray, probabilities=(), **options) -> np.ndarray:
    """theta (..., d) after one step for each of `labels` (..., steps, f): theta <- decay theta + lr x^T (y - sigmoid).

    rows: (..., a, d), the deleted rows first; the others are fine-tuned on `probabilities` (a - f,), their targets.
    options: lr, weight_decay, sign and decoupled, see `_schedule`.
    """
    for factor, rate, targets in _schedule(labels, probabilities, **options):
        pull = (targets - expit((rows @ theta[..., None])[..., 0]))[..., None, :] @ rows
        theta = factor * theta + rate * pull[..., 0, :]
    return theta


def random_label_logits(logits: np.ndarray, gram: np.ndarray, labels, probabilities=(), **options) -> np.ndarray:
    """The logits (..., a) of the trained rows after `random_labels`, by gram = X_A X_A^T alone, without theta."""
    for factor, rate, targets in _schedule(labels, probabilities, **options):
        logits = factor * logits + rate * ((targets - expit(logits)) @ gram)
    return logits


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
    updates = {
        "descent, lr": {"lr": lr},
        "descent, lr / ||x_f||²": {"lr": divided},
        "released: ascent, lr / ||x_f||²": {"lr": divided, "sign": -1, "decoupled": True},
    }
    unlearned = {"before unlearning": full}
    for name, options in updates.items():
        unlearned[name] = random_labels(full, forget, labels, weight_decay=weight_decay, **options)
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
    return over_runs(rows, "steps")


def _rms(queries: np.ndarray, theta: np.ndarray) -> np.ndarray:
    return np.sqrt(((queries @ theta[..., None])[..., 0] ** 2).mean(axis=-1))


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
        add_identities(found, problem, inside, outside)
    return found.table()

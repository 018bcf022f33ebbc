"""Is it nearness, or difficulty? Near examples against far ones that were as hard before anything was forgotten.

Ours. Hard examples lie near class boundaries, so near the forget set, and change more under any retraining. Two
controls, both blind to the unlearner:

Among the *other* classes, each example of the nearest fifth is matched with the example of the farthest half that is
closest in original margin (z_y less the largest other logit, averaged over the originals) and retrain variance (of the
true-class confidence over the reference models), both as ranks in [0, 1]; with replacement, and only within CALIPER in
each. `matched_localization` is the mean total variation of near less that of their matches; `unmatched_share`, which no
seed changes, is the share of near examples without a match.

In the affected class, and among the others, `partial_spearman` is the rank correlation of similarity with the excess
total variation (see `discrepancy`), controlling for the original margin.
"""

import numpy as np
from scipy.stats import rankdata

from lfcore.core.run import Row
from lfcore.geometry.locality import far, near, partial_rank
from lfcore.metrics import discrepancy

CALIPER = 0.1
BLOCK = 256
"""Rows compared at once: all of CIFAR-100's would be gigabytes."""


def margin_to_runner_up(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The true class's logit less the largest other, for logits (seeds, n, classes): (seeds, n)."""
    rows = np.arange(len(labels))
    others = logits.astype(np.float64)
    own = others[:, rows, labels]
    others[:, rows, labels] = -np.inf
    return own - others.max(axis=-1)


def difficulty(run, reference) -> np.ndarray:
    """Original margin and retrain variance of every example, (n, 2)."""
    margin = margin_to_runner_up(run.originals.logits, run.labels).mean(axis=0)
    confidence = reference.probabilities[:, np.arange(len(run.labels)), run.labels]
    return np.column_stack([margin, confidence.var(axis=0)])


def match(close: np.ndarray, distant: np.ndarray, caliper: float = CALIPER) -> tuple[np.ndarray, np.ndarray]:
    """For each row of `close` (m, d) the nearest row of `distant` (n, d): positions of both, unmatched ones left out.

    A match differs by at most `caliper` in every column.
    """
    if len(close) == 0 or len(distant) == 0:
        return np.empty(0, dtype=int), np.empty(0, dtype=int)
    found, nearest = (np.empty(len(close), dtype=kind) for kind in (bool, int))
    for start in range(0, len(close), BLOCK):
        part = slice(start, start + BLOCK)
        apart = np.abs(close[part, None, :] - distant[None, :, :])
        within = (apart <= caliper + 1e-9).all(axis=-1)  # ranks of n: 8/80 is within 0.1, whatever it was rounded to
        found[part] = within.any(axis=1)
        nearest[part] = np.where(within, apart.sum(axis=-1), np.inf).argmin(axis=1)
    return np.flatnonzero(found), nearest[found]


def measure(run, reference):
    """Rows of `matched_localization` and `unmatched_share` (other classes), and of `partial_spearman`."""
    hard = difficulty(run, reference)
    values = discrepancy.per_example(run, reference)["total_variation"]
    above = discrepancy.excess(run, reference)
    for split in ("retain", "test"):
        parts = run.of_classes(run.splits[split])
        other = parts["other"]
        ranks = rankdata(hard[other], axis=0) / max(len(other), 1)
        close, distant = near(run.similarity[other]), far(run.similarity[other])
        chosen, matches = match(ranks[close], ranks[distant])
        share = 1 - len(chosen) / len(close) if len(close) else float("nan")
        yield Row("", "", split, "unmatched_share", "range", "other", share)
        for position, seed in enumerate(run.predictions.seeds):
            pairs = values[position][other[close[chosen]]] - values[position][other[distant[matches]]]
            number = float(pairs.mean()) if len(pairs) else float("nan")
            yield Row(seed, "retrained", split, "matched_localization", "range", "other", number)
            for classes in ("affected", "other"):
                rows = parts[classes]
                number = partial_rank(run.similarity[rows], above[position][rows], hard[rows, :1])
                yield Row(seed, "retrained", split, "partial_spearman", "range", classes, number)

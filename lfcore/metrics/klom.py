"""KLoM, the divergence between the distributions, over seeds, of an example's margin under unlearning and retraining.

Georgiev et al., 2410.23232, app. E.1 ("KL divergence of margins"). For each example,

    margin(x, y) = log f(x)_y - log(1 - f(x)_y) = z_y - log sum_{c != y} exp(z_c)
    KLoM(x)      = KL(margins of the unlearned models || margins of the retrained models)

over histograms of 20 equal bins, which span both sets of margins after clipping them to [-100, 100]; a bin that only
the unlearned models reach counts as 1e-5 under retraining. So KLoM is between 0 and about log(1e5) = 11.5. These
numbers are those of the authors' benchmark (data-unlearning-bench, src/eval.py), except that the largest margin is in
the last bin, and there in none. Given are the mean, the median and the 95th percentile over the examples of a split:
`klom_mean`, `klom_median`, `klom_95`.

The authors have 100 models of each kind. With five unlearned models every estimate is far above zero, because a margin
falls into a bin that the references left empty by chance. What it should be is therefore not 0 but the *equal-n floor*:
the row `retrained`, made of as many models against the same references. To keep n equal, the unlearned models, the
floor's and the originals' (as many as there are unlearned ones) set n, and the first n of each are used. Only the
excess over that floor says anything. With fewer than 20 reference models there are no rows.
"""

import numpy as np
from scipy.special import logsumexp, rel_entr

from lfcore.core.run import Row, leave_one_out

ENOUGH = 20
"""The fewest reference models."""
BINS = 20
LIMIT = 100.0
LEAST = 1e-5


def margin_to_all_others(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The true class's logit less the log-sum-exp of the others'. (seeds, n, classes) to float64 (seeds, n)."""
    rows = np.arange(len(labels))
    result = np.empty(logits.shape[:2])
    for position, one in enumerate(logits):
        others = one.astype(np.float64)
        own = others[rows, labels]
        others[rows, labels] = -np.inf
        result[position] = own - logsumexp(others, axis=1)
    return result


def klom(unlearned: np.ndarray, retrained: np.ndarray) -> np.ndarray:
    """KLoM of each example, (n,). unlearned: margins, (models, n); retrained: (other models, n)."""
    both = np.clip(np.concatenate([unlearned, retrained]), -LIMIT, LIMIT)
    low, width = both.min(axis=0), np.ptp(both, axis=0)
    positions = (both - low) / np.where(width > 0, width, 1) * BINS
    bins = np.minimum(positions.astype(int), BINS - 1)
    p, q = _shares(bins[: len(unlearned)]), _shares(bins[len(unlearned) :])
    q = np.where(p > 0, np.maximum(q, LEAST), q)
    return rel_entr(p, q / q.sum(axis=1, keepdims=True)).sum(axis=1)


def _shares(bins: np.ndarray) -> np.ndarray:
    """The share of the models in each bin of each example's histogram: (models, n) to (n, BINS)."""
    models, n = bins.shape
    return np.bincount((np.arange(n) * BINS + bins).ravel(), minlength=n * BINS).reshape(n, BINS) / models


def _pair(run, reference) -> tuple[np.ndarray, np.ndarray]:
    """Margins of the first n models, the same n for an unlearner and for the floor, and of the reference models."""
    n = min(len(predictions.seeds) for predictions in (run.predictions, run.floor, run.originals))
    return tuple(margin_to_all_others(logits, run.labels) for logits in (run.predictions.logits[:n], reference.logits))


def per_example(run, reference) -> dict[str, np.ndarray]:
    """KLoM of each example, from all seeds: (n,)."""
    return {"klom": klom(*_pair(run, reference))} if len(reference.seeds) >= ENOUGH else {}


def measure(run, reference):
    """Rows of "klom_mean", "klom_median" and "klom_95" on each split, for all seeds and without each one."""
    if len(reference.seeds) < ENOUGH:
        return
    model, target = _pair(run, reference)
    for label, chosen in leave_one_out(run.predictions.seeds[: len(model)]):
        values = klom(model[chosen], target)
        for split, rows in run.splits.items():
            for name, value in (
                ("klom_mean", values[rows].mean()),
                ("klom_median", np.median(values[rows])),
                ("klom_95", np.percentile(values[rows], 95)),
            ):
                yield Row(label, "retrained_mean", split, name, "all", "", float(value))

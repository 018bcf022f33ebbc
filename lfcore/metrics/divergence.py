"""How far the predicted distribution is from retraining, example by example, in nats.

For an unlearned model u and a reference retrained model r, with m = (f_r + f_u) / 2:

    kl_divergence(x)  = KL(f_r || f_u) = sum_c f_r(x)_c log(f_r(x)_c / f_u(x)_c)      in [0, inf)
    jensen_shannon(x) = KL(f_r || m) / 2 + KL(f_u || m) / 2                           in [0, log 2] (Lin, 1991)

Both are averaged over the reference models (reference "retrained"), and given for the forget, retain and test
examples, and for the ranges of `discrepancy` (of all, affected and other classes: whole, near, far) of the last two,
which is ours.

The divergence has no upper bound and is computed from log-probabilities, never clipped: a method that is sure of a
wrong class has a large one, and a few such examples may make up a mean. The Jensen-Shannon divergence cannot do that.
"""

import numpy as np
from scipy.special import log_softmax

from lfcore.core.run import Row
from lfcore.metrics import discrepancy


def compare(model: np.ndarray, reference: np.ndarray) -> dict[str, np.ndarray]:
    """Both divergences of one prediction from one reference. Log-probabilities, (n, classes); each result (n,)."""
    ratio = reference - model
    p, q = np.exp(reference), np.exp(model)
    # log(f_r / m) and log(f_u / m), written so that neither overflows and equal predictions give exactly 0
    from_reference = np.log(2) - np.logaddexp(0, -ratio)
    from_model = np.log(2) - np.logaddexp(0, ratio)
    return {
        "kl_divergence": (p * ratio).sum(axis=1),
        "jensen_shannon": (p * from_reference + q * from_model).sum(axis=1) / 2,
    }


def against(models, reference) -> dict[str, np.ndarray]:
    """Both divergences of each seed of `models`, averaged over the models of `reference`: (seeds, n)."""
    targets = [log_softmax(logits.astype(np.float64), axis=-1) for logits in reference.logits]
    result = {name: np.zeros(models.logits.shape[:2]) for name in ("kl_divergence", "jensen_shannon")}
    for position, logits in enumerate(models.logits):
        model = log_softmax(logits.astype(np.float64), axis=-1)
        for target in targets:
            for name, values in compare(model, target).items():
                result[name][position] += values / len(targets)
    return result


def measure(run, reference):
    """Rows of "kl_divergence" and "jensen_shannon": scope "all", and "range" on the retain and test examples."""
    arrays = against(run.predictions, reference)
    for split, members in run.splits.items():
        parts = [("all", "", members)]
        if split != "forget":
            parts += [part for part in discrepancy.partition(run, members) if part[0] == "range"]
        for scope, key, rows in parts:
            if len(rows):
                for name, values in arrays.items():
                    for seed, mean in zip(run.predictions.seeds, values[:, rows].mean(axis=1), strict=True):
                        yield Row(seed, "retrained", split, name, scope, key, float(mean))

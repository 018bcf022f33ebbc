"""U-LiRA-lite: can one tell, forgotten example by forgotten example, an unlearned model from a retrained one?

The likelihood-ratio attack of Carlini et al., 2112.03570, for unlearning: Hayes et al., 2403.01218 (U-LiRA). For each
forgotten example x, the logit-scaled confidence (the margin of `klom`) of unlearned models is fitted by a normal
distribution, and so is that of retrained models. A model that is in neither fit has, with its margin phi, the score

    log N(phi; mean_u(x), var_u) - log N(phi; mean_r(x), var_r)

Each unlearned seed is held out in turn, and the other seeds make mean_u; its scores are the positives. A quarter of
the reference models is held out in turn, and the others make mean_r; their scores are the negatives. `lira_auc` is the
area under the ROC curve over all pairs (forgotten example, held-out model); `lira_tpr_1` and `lira_tpr_5` are the
shares of positives found at no more than 1 % and 5 % false positives. Each is the mean over the quarters, one number
for each held-out seed, as fractions.

0.5: this attack cannot tell unlearned from retrained. It may be above for either reason, because the forgotten are
still known or because they are known less than after retraining: a method that destroys too much does not pass. Were
the unlearned models retrained ones, the held-out seed and the held-out quarter would be exchangeable given both fits,
so that the row `retrained`, the floor's models measured by the same rule, is 0.5 in expectation. (Negatives that took
part in a fit would not be.) The seeds share the negatives, and most of the fits: an interval over them is too narrow,
and where nothing differs a 95 % interval holds 0.5 about four times in five.

"Lite", and ours: the quarters, in place of a second set of retrained models; and both variances are pooled over the
forgotten examples (the mean of their sample variances), as Carlini et al. advise for few models, where the variance of
one example's four margins is noise. The forget set is fixed, so the distributions are over training alone; Hayes et
al. draw forget sets too, and have hundreds of models. There are no rows with fewer than 20 reference models or 3 seeds.
"""

import numpy as np

from lfcore.core.run import Row
from lfcore.metrics.klom import ENOUGH, margin_to_all_others
from lfcore.metrics.membership_variants import auc

SEEDS = 3
"""The fewest seeds to hold one out of."""
PARTS = 4
LEAST = 1e-12
"""The smallest variance, for models that are all the same."""
RATES = {"lira_tpr_1": 0.01, "lira_tpr_5": 0.05}


def fit(values: np.ndarray) -> tuple[np.ndarray, float]:
    """Each example's mean, (n,), and one variance for all of them. values: (models, n), at least two models."""
    return values.mean(axis=0), max(float(values.var(axis=0, ddof=1).mean()), LEAST)


def log_ratio(values: np.ndarray, unlearned, retrained) -> np.ndarray:
    """The log-likelihood ratio of the two fits at `values`, (…, n)."""
    (mean_u, var_u), (mean_r, var_r) = unlearned, retrained
    return (np.log(var_r / var_u) + (values - mean_r) ** 2 / var_r - (values - mean_u) ** 2 / var_u) / 2


def true_positive_rate(positives: np.ndarray, negatives: np.ndarray, rate: float) -> float:
    """The largest share of positives above a threshold that at most the share `rate` of negatives is above."""
    allowed = int(rate * len(negatives))
    return float((positives > np.sort(negatives)[-1 - allowed]).mean())


def attack(unlearned: np.ndarray, retrained: np.ndarray) -> list[dict[str, float]]:
    """The three numbers for each model of `unlearned`, held out. Both: margins, (models, forgotten examples)."""
    result = []
    for seed in range(len(unlearned)):
        model = fit(np.delete(unlearned, seed, axis=0))
        parts = []
        for chosen in np.array_split(np.arange(len(retrained)), PARTS):
            target = fit(np.delete(retrained, chosen, axis=0))
            positives = log_ratio(unlearned[seed], model, target)
            negatives = log_ratio(retrained[chosen], model, target).ravel()
            found = {name: true_positive_rate(positives, negatives, rate) for name, rate in RATES.items()}
            parts.append({"lira_auc": auc(positives, negatives), **found})
        result.append({name: float(np.mean([part[name] for part in parts])) for name in parts[0]})
    return result


def measure(run, reference):
    """Rows of "lira_auc", "lira_tpr_1" and "lira_tpr_5" on the forget set."""
    if len(reference.seeds) < ENOUGH or len(run.predictions.seeds) < SEEDS:
        return
    forget = run.forget_set.forget
    models, retrained = (
        margin_to_all_others(of.logits[:, forget], run.labels[forget]) for of in (run.predictions, reference)
    )
    for seed, numbers in zip(run.predictions.seeds, attack(models, retrained), strict=True):
        for name, value in numbers.items():
            yield Row(seed, "retrained", "forget", name, "all", "", value)

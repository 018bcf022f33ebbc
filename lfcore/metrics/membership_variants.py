"""Membership inference without a trained attack and without a threshold: how well one number a model gives an example
tells the forget set from test examples.

Song and Mittal, 2003.10595, name the three attacks, each of which calls an example a member if its score is
below a threshold. With p = softmax of the logits and y the true class:

    membership_loss              -log p_y                  (Yeom et al., 1709.01604; "confidence" in 2003.10595)
    membership_entropy           -sum_c p_c log p_c        (the only one that does not know the label)
    membership_modified_entropy  -(1 - p_y) log p_y - sum_{c != y} p_c log(1 - p_c)

The number given is the area under the ROC curve over all thresholds, with the forget set as members: the chance that a
forgotten example scores below a test example, ties counting half. 0.5: the forgotten look unseen; above: they still
look like members; below: they look less known than unseen examples do, which gives them away as well. Scope "all" is
against every test example, and a difficult class is enough to leave 0.5. Scope "class", against the test examples of
the affected class, answers for Song and Mittal's thresholds by class; a random forget set has none. The goal is the
reference models' value, their mean in "<metric>_reference", not 0.5.

These are attacks on a population. `membership` is another, with a trained classifier; `lira` attacks each example by
itself. The area instead of the accuracy at a threshold fitted on shadow models is ours.
"""

import numpy as np
from scipy.special import log_softmax, logsumexp
from scipy.stats import rankdata

from lfcore.core.run import Row


def log_probabilities(logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log p and log(1 - p) of every class, float64 (…, classes); exact also where p rounds to 1, so nothing ties."""
    log_p = log_softmax(logits.astype(np.float64), axis=-1)
    top = log_p.argmax(axis=-1)[..., None]
    others = log_p.copy()
    np.put_along_axis(others, top, -np.inf, axis=-1)
    log_rest = logsumexp(others, axis=-1, keepdims=True)
    log_not = np.log1p(-np.exp(others))
    np.put_along_axis(log_p, top, np.log1p(-np.exp(log_rest)), axis=-1)
    np.put_along_axis(log_not, top, log_rest, axis=-1)
    return log_p, log_not


def scores(logits: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
    """The three scores of each example, low for members. logits: (n, classes), labels: (n,); each result (n,)."""
    log_p, log_not = log_probabilities(logits)
    own = labels[:, None]
    loss = -np.take_along_axis(log_p, own, axis=1)[:, 0]
    doubt = np.exp(np.take_along_axis(log_not, own, axis=1)[:, 0])
    others = np.exp(log_p) * log_not
    np.put_along_axis(others, own, 0, axis=1)
    return {
        "membership_loss": loss,
        "membership_entropy": -(np.exp(log_p) * log_p).sum(axis=1),
        "membership_modified_entropy": doubt * loss - others.sum(axis=1),
    }


def auc(positives: np.ndarray, negatives: np.ndarray) -> float:
    """The chance that a positive's value is above a negative's, ties counting half; NaN if either is empty."""
    if len(positives) == 0 or len(negatives) == 0:
        return float("nan")
    ranks = rankdata(np.concatenate([positives, negatives]))[: len(positives)]
    return float((ranks.mean() - (len(positives) + 1) / 2) / len(negatives))


def _areas(predictions, run) -> list[dict[tuple[str, str, str], float]]:
    """For each seed, the area by (metric, scope, key)."""
    members, others = run.of_classes(run.forget_set.forget), run.of_classes(run.test)
    scopes = {("all", ""): "all"}
    if not run.scattered:
        scopes["class", str(run.forget_set.affected)] = "affected"
    result = []
    for logits in predictions.logits:
        values = scores(logits, run.labels)
        result.append(
            {
                (name, *scope): auc(-score[members[classes]], -score[others[classes]])
                for name, score in values.items()
                for scope, classes in scopes.items()
            }
        )
    return result


def measure(run, reference):
    """Rows of the three metrics on the forget set, and of "<metric>_reference", the reference models' mean."""
    targets = run.once("membership_variants", lambda: _areas(reference, run), reference)
    areas = _areas(run.predictions, run)
    for metric, scope, key in targets[0]:
        target = np.mean([one[metric, scope, key] for one in targets])
        yield Row("", "retrained", "forget", f"{metric}_reference", scope, key, float(target))
        for seed, one in zip(run.predictions.seeds, areas, strict=True):
            yield Row(seed, "", "forget", metric, scope, key, one[metric, scope, key])

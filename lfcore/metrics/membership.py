"""Membership inference on the true-class confidence with a support-vector classifier.

2605.31317, sec. 5 and the SVC_MIA of SalUn (2310.12508): SVC(C=3, rbf, gamma auto) learns to tell |test| random
retained examples (members) from the test examples (non-members) by the confidence alone. The score is the percent of
the forget set it calls non-members. Higher looks more forgotten; the goal is the value of the retrained models.

Where a whole class is forgotten, members are of the other classes alone, while the non-members include its test
examples: a model without the class is then sure of neither, and the goal is near 100. Of a random set, retrained models
say what they say of test examples, so the goal is what the attack says of those.
"""

import numpy as np
from sklearn.svm import SVC

from lfcore.core.run import Row
from lfcore.core.seeds import number


def shadow_members(run) -> np.ndarray:
    """|test| retained rows (all, if fewer): one draw for each forget set, the same for every model."""
    retain = run.forget_set.retain
    draw = np.random.default_rng(number(0, f"membership {run.forget_set.name}", "shadow members"))
    return np.sort(draw.choice(retain, size=min(len(run.test), len(retain)), replace=False))


def non_members(confidence: np.ndarray, members: np.ndarray, others: np.ndarray, targets: np.ndarray) -> float:
    """Percent of `targets` classified as non-members. confidence: (n,); the rest are row numbers."""
    rows = np.concatenate([members, others])
    is_member = np.repeat([1, 0], [len(members), len(others)])
    attack = SVC(C=3, kernel="rbf", gamma="auto").fit(confidence[rows, None], is_member)
    return 100 * float((attack.predict(confidence[targets, None]) == 0).mean())


def scores(predictions, run) -> np.ndarray:
    """The score of each seed of `predictions`, percent, (seeds,)."""
    return run.once("membership", lambda: _scores(predictions, run), predictions)


def _scores(predictions, run) -> np.ndarray:
    members = shadow_members(run)
    confidences = predictions.probabilities[:, np.arange(len(run.labels)), run.labels]
    return np.array([non_members(c, members, run.test, run.forget_set.forget) for c in confidences])


def measure(run, reference):
    """Rows of the metric "membership" on the forget set."""
    for seed, score in zip(run.predictions.seeds, scores(run.predictions, run), strict=True):
        yield Row(seed, "", "forget", "membership", "all", "", float(score))

"""Tug of war: one number for how near an unlearned model is to retraining on all three splits at once.

Zhao et al., 2406.01257. With a the accuracy as a fraction, u the unlearned and r the retrained model:

    tow = product over S in {forget, retain, test} of (1 - |a(u, S) - a(r, S)|)        in [0, 1], 1 is best

`tow_mia` (Zhao and Triantafillou, 2410.16516) has membership inference on the forget set in place of the accuracy on
it. As in their code, that is the SVC attack on the confidence, so `membership` / 100 here.

Theirs pairs u and r by seed; ours takes the mean over the reference models for r, so that each seed is charged for its
own chance alone. A retrained model's value is therefore below 1 too: compare with the row `retrained`.
"""

import numpy as np

from lfcore.core.run import Row
from lfcore.metrics import accuracy, membership


def _values(predictions, run) -> dict[str, np.ndarray]:
    """The three numbers, as fractions, whose gaps are multiplied: (3, seeds)."""
    hits = accuracy.correct(predictions, run.labels)
    accuracies = np.stack([hits[:, rows].mean(axis=1) for rows in run.splits.values()])
    attacked = membership.scores(predictions, run)[None] / 100
    return {"tow": accuracies, "tow_mia": np.vstack([attacked, accuracies[1:]])}


def measure(run, reference):
    """Rows of the metrics "tow" and "tow_mia", split "all"."""
    targets = _values(reference, run)
    for name, values in _values(run.predictions, run).items():
        gaps = np.abs(values - targets[name].mean(axis=1, keepdims=True))
        for seed, value in zip(run.predictions.seeds, (1 - gaps).prod(axis=0), strict=True):
            yield Row(seed, "retrained", "all", name, "all", "", float(value))

"""Accuracy in percent on the forget, retain and test examples, all and class by class.

2605.31317, sec. 5: UA is the accuracy on the forget set (not 100 minus it), RA on the retain set, TA on the test set;
RA_aff, UA_aff and TA_aff are the same on the affected class only, and TA_other on all other classes, which is what a
model from which a whole class was deleted should still know. A whole class has no RA_aff, a random set none of these.
"""

import numpy as np

from lfcore.core.run import Row


def correct(predictions, labels: np.ndarray) -> np.ndarray:
    """Whether each example is classified correctly, bool (seeds, n)."""
    return predictions.logits.argmax(axis=-1) == labels


def mean(hits: np.ndarray) -> float:
    """The mean in percent; NaN for no examples."""
    return 100 * float(hits.mean()) if hits.size else float("nan")


def measure(run, reference):
    """Rows of the metric "accuracy": scope "all", scope "class" with the class as key, and on the test examples scope
    "range", key "other/whole": all but the affected class.

    And of "reference_accuracy", the same of the reference models, averaged: what accuracy is compared with.
    """
    hits = correct(run.predictions, run.labels)
    target = correct(reference, run.labels).mean(axis=0)
    for split, rows in run.splits.items():
        parts = [("all", "", rows)]
        parts += [("class", str(label), rows[run.labels[rows] == label]) for label in np.unique(run.labels[rows])]
        if split == "test" and not run.scattered:
            parts.append(("range", "other/whole", run.of_classes(rows)["other"]))
        for scope, key, members in parts:
            yield Row("", "retrained", split, "reference_accuracy", scope, key, mean(target[members]))
            for seed, hit in zip(run.predictions.seeds, hits, strict=True):
                yield Row(seed, "", split, "accuracy", scope, key, mean(hit[members]))

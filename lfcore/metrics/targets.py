"""What a method teaches about the forget set, and what retraining says there: the paper's mechanism, measured.

2605.31317, sec. 3: damage comes from targets that retraining would not predict. For each forget example, the total
variation between the mean prediction of the reference models and

    target_label     the label it was trained with, which doing nothing and fine-tuning leave in place
    target_uniform   the uniform distribution, what random labels are on average
    target_teacher   the teacher's softmax (a method with a teacher only), for each seed
    target_model     the unlearned model's own prediction, for each seed: where it ended

averaged over the forget set; `teacher_accuracy` is the share of forget examples, in percent, that the teacher gives
their label, beside UA of retraining (`reference_accuracy`).
"""

import numpy as np

from lfcore.core.run import Row, softmax


def mismatch(targets: np.ndarray, wanted: np.ndarray) -> float:
    """Mean total variation between two sets of distributions, both (m, classes)."""
    return float(np.abs(targets - wanted).sum(axis=-1).mean() / 2)


def measure(run, reference):
    """Rows of the metrics above, on the forget examples."""
    rows = run.forget_set.forget
    wanted = reference.probabilities[:, rows].mean(axis=0)
    label = np.eye(wanted.shape[1])[run.labels[rows]]
    uniform = np.full_like(wanted, 1 / wanted.shape[1])
    yield Row("", "retrained", "forget", "target_label", "all", "", mismatch(label, wanted))
    yield Row("", "retrained", "forget", "target_uniform", "all", "", mismatch(uniform, wanted))
    for position, seed in enumerate(run.predictions.seeds):
        own = run.predictions.probabilities[position][rows]
        yield Row(seed, "retrained", "forget", "target_model", "all", "", mismatch(own, wanted))
        if run.predictions.teacher_logits is not None:
            logits = run.predictions.teacher_logits[position]
            right = 100 * float((logits.argmax(axis=1) == run.labels[rows]).mean())
            yield Row(seed, "retrained", "forget", "target_teacher", "all", "", mismatch(softmax(logits), wanted))
            yield Row(seed, "", "forget", "teacher_accuracy", "all", "", right)

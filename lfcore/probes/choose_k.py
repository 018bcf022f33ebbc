"""How large a support should LTD's teacher get? Asked of the originals alone, as a practitioner would.

2605.31317, sec. 4.2 and app. C.5 (figures 10 to 13); `probes._support_size` has the definitions. For each k, scope "k":
`teacher_accuracy` (percent on the forget set), `histogram_divergence` (nats, between what successive teachers predict
there), `support_similarity` and `support_affected` (percent). Beside them, which only a study can know:
`retrained_divergence`, from what the reference models predict on the forget set (figure 13). For each bin of
similarity, scope "ascent_bin": `ascent_error`, the error on retained examples after one step of ascent, in percent,
less the error before it, and the bin's `similarity` and `count`.

Models that come after unlearning are not asked: they give no rows.
"""

import numpy as np

from lfcore.core.run import Row
from lfcore.probes import _support_size as support_size


def probe(subject, *, ks: list, lr: float, network="resnet8", epochs=250, accuracy=0.99, batch_size=256):
    """Rows of the curves above. ks: sizes of the support; lr: of the one step of ascent; the rest: the teacher's."""
    if subject.unlearner != "original":
        return
    classes = subject.model.head.out_features
    wanted = subject.reference.logits[:, subject.forget_rows].argmax(axis=-1)
    wanted = np.bincount(wanted.ravel(), minlength=classes) / len(wanted)
    teacher = {"network": network, "epochs": epochs, "accuracy": accuracy, "batch_size": batch_size}
    curve = support_size.teacher_curve(
        subject.model, subject.retain, subject.forget, ks, seed=subject.seed, classes=classes, **teacher
    )
    for point in curve:
        numbers = {
            "teacher_accuracy": point["teacher_accuracy"],
            "histogram_divergence": point["divergence"],
            "support_similarity": point["support_similarity"],
            "support_affected": point["support_affected"],
            "retrained_divergence": support_size.histogram_divergence(wanted, point["histogram"]),
        }
        for name, value in numbers.items():
            yield Row(subject.seed, "", "forget", name, "k", str(point["k"]), value)
    for bin_ in support_size.ascent_step_errors(subject.model, subject.retain, subject.forget, lr=lr):
        key = str(bin_["bin"])
        yield Row(subject.seed, "", "retain", "ascent_error", "ascent_bin", key, bin_["after"] - bin_["before"])
        yield Row(subject.seed, "", "retain", "similarity", "ascent_bin", key, bin_["similarity"])
        yield Row(subject.seed, "", "retain", "count", "ascent_bin", key, bin_["count"])

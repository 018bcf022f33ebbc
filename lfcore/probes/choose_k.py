"""How large a support should LTD's teacher get? Asked of the originals alone, as a practitioner would.

2605.31317, sec. 4.2 and app. C.5 (figures 10 to 13). Two looks at the original, and a choice made by eye: k should
cover the bins that a step of ascent hurts far more than the others (`ascent_step_errors`, fig. 12), and lie on the
plateau where what the teacher predicts on the forget set no longer changes with k (`teacher_curve`, figs. 10 and 11).

For each k, scope "k": `teacher_accuracy` (percent on the forget set), `histogram_divergence` (nats, between what
successive teachers predict there), `support_similarity` and `support_affected` (percent). Beside them, which only a
study can know: `retrained_divergence`, from what the reference models predict on the forget set (figure 13). For each
bin of similarity, scope "ascent_bin": `ascent_error`, the error on retained examples after one step of ascent, in
percent, less the error before it, and the bin's `similarity` and `count`.

Models that come after unlearning are not asked: they give no rows.
"""

import numpy as np
from scipy.special import rel_entr

from lfcore.core.examples import Examples
from lfcore.core.run import Row
from lfcore.geometry.similarity import equal_width_bins
from lfcore.models.predict import outputs
from lfcore.unlearners import ascent, ltd


def histogram_divergence(counts, other, smoothing: float = 0.5) -> float:
    """KL(p || q) in nats of the histograms of two count vectors (classes,), `smoothing` added to every count first.

    The released code raises counts of 0 to 1e-12 instead: a class that its last example of m leaves adds 27.6 / m nats.
    """
    p, q = (np.asarray(each, dtype=float) + smoothing for each in (counts, other))
    return float(rel_entr(p / p.sum(), q / q.sum()).sum())


def teacher_curve(model, retain: Examples, forget: Examples, ks, *, seed: int, classes: int, **teacher_options):
    """What LTD's teacher predicts on the forget set as its support of the k nearest retained examples grows.

    ks: support sizes, in the order in which successive histograms are compared (the paper: 100 to 2700 by 100).
    teacher_options: those of `ltd.train_teacher`. Teachers of all k share `seed`, so initial weights are the same.
    Returns one record a k: k, LTD's notes (see there: teacher_accuracy in percent, teacher_epochs, support_affected,
    support_similarity), histogram (how many of D_f are predicted as each class, a list), divergence (in nats, from
    the histogram of the k before to this one; nan for the first). The paper's figure 10 has several seeds a k, and its
    code takes the histogram before from their mean prediction; here each seed has a curve of its own.
    """
    ks = list(ks)
    nearest = ltd.choose_support(model, retain, forget, max(ks))
    records = []
    for k in ks:
        support = nearest[:k]
        teacher = ltd.train_teacher(support, classes, seed=seed, model=model, **teacher_options)
        logits = ltd.teach([teacher.model], forget.images)
        choice = logits.argmax(dim=1).cpu().numpy()
        counts = np.bincount(choice, minlength=classes).tolist()
        moved = histogram_divergence(records[-1]["histogram"], counts) if records else float("nan")
        facts = ltd.notes(model, [teacher], logits, support, forget)
        records.append({"k": k, **facts, "histogram": counts, "divergence": moved})
    return records


def ascent_step_errors(model, retain: Examples, forget: Examples, *, lr: float, bins: int = 10) -> list[dict]:
    """The error of `model` on retained examples before and after one step of gradient ascent, by similarity.

    The step is theta + lr * gradient of the mean CE over the whole forget set, on a copy, with BatchNorm frozen: a
    first step of SGD has no momentum yet. Bins have equal widths, as in `equal_width_bins`.
    Returns one record a bin, from the farthest: bin, count, similarity (mean), before and after (errors in percent);
    in an empty bin the last three are nan. Raises Diverged if the step leaves the finite numbers.
    """
    stepped = ascent.unlearn(
        model, None, forget, seed=0, lr=lr, epochs=1, batch_size=len(forget), weight_decay=0.0, batchnorm="frozen"
    )
    similarities = ltd.similarities(model, retain, forget)
    before, after = (
        100.0 * (outputs(each, retain.images)[0].argmax(dim=1) != retain.labels).cpu().numpy()
        for each in (model, stepped)
    )
    chosen = equal_width_bins(similarities, bins)
    records = []
    for number in range(bins):
        rows = np.flatnonzero(chosen == number)
        values = {"similarity": similarities, "before": before, "after": after}
        means = {name: float(value[rows].mean()) if len(rows) else float("nan") for name, value in values.items()}
        records.append({"bin": number, "count": len(rows), **means})
    return records


def probe(subject, *, ks: list, lr: float, network="resnet8", epochs=250, accuracy=0.99, batch_size=256):
    """Rows of the curves above. ks: sizes of the support; lr: of the one step of ascent; the rest: the teacher's."""
    if subject.unlearner != "original":
        return
    classes = subject.model.head.out_features
    wanted = subject.reference.logits[:, subject.forget_rows].argmax(axis=-1)
    wanted = np.bincount(wanted.ravel(), minlength=classes) / len(wanted)
    teacher = {"network": network, "epochs": epochs, "accuracy": accuracy, "batch_size": batch_size}
    curve = teacher_curve(
        subject.model, subject.retain, subject.forget, ks, seed=subject.seed, classes=classes, **teacher
    )
    for point in curve:
        numbers = {
            "teacher_accuracy": point["teacher_accuracy"],
            "histogram_divergence": point["divergence"],
            "support_similarity": point["support_similarity"],
            "support_affected": point["support_affected"],
            "retrained_divergence": histogram_divergence(wanted, point["histogram"]),
        }
        for name, value in numbers.items():
            yield Row(subject.seed, "", "forget", name, "k", str(point["k"]), value)
    for bin_ in ascent_step_errors(subject.model, subject.retain, subject.forget, lr=lr):
        key = str(bin_["bin"])
        yield Row(subject.seed, "", "retain", "ascent_error", "ascent_bin", key, bin_["after"] - bin_["before"])
        yield Row(subject.seed, "", "retain", "similarity", "ascent_bin", key, bin_["similarity"])
        yield Row(subject.seed, "", "retain", "count", "ascent_bin", key, bin_["count"])

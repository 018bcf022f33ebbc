"""Neighbour labels: LTD without a teacher. Each forgotten example gets the labels of the retained ones nearest to it.

    minimise  (1/|B|) ( sum_{D_r in B} CE(y, f(x)) + beta sum_{D_f in B} CE(y^, f(x)) )
    y^ = histogram of the labels of the k retained examples with the highest cosine <h(x), h(x')> / |h(x)| |h(x')|

The ablation of Dolgova and Stich, 2605.31317, tables 6 and 7, with k 500 and 1000 on CIFAR-100; h are the features of
the model given. The student is trained as LTD's. The paper does not say whether the neighbours are those of each
example or those of the set. Per example is ours, and the released code's, where they are looked for among LTD's support
only: here among all retained examples, or among the `candidates` most similar to the set. With `candidates` equal to
k all of D_f shares one histogram. The code takes features from the augmented view that the student sees, ours are those
of un-augmented images. Reads both sets. BatchNorm: eval mode for the features; student in train mode on mixed batches.

It returns what LTD does beside the student, as far as it means something without a teacher:
teacher_logits: the logarithm of the targets on D_f, clipped from below at 1e-12, (m, classes), float32.
notes: teacher_accuracy, the percentage of D_f whose target is largest at the label; support_affected, the share (0 to
1) of neighbours whose class is one of D_f's; support_similarity, the lowest cosine of an example and its neighbour.
"""

import torch
from torch.nn.functional import normalize

from lfcore.core.errors import InputError
from lfcore.core.examples import Examples
from lfcore.core.unlearned import Unlearned
from lfcore.models.predict import outputs
from lfcore.training.fit import Loop
from lfcore.unlearners.ltd import choose_support, fit_targets

READS = {"forget", "retain"}


def neighbours(model, pool: Examples, forget: Examples, k: int, chunk: int = 256) -> tuple[torch.Tensor, torch.Tensor]:
    """The k examples of `pool` nearest to each of `forget`, nearest first: rows in `pool` and cosines, both (m, k)."""
    if not 1 <= k <= len(pool):
        raise InputError(f"k = {k} neighbours can't be chosen from {len(pool)} retained examples: lower k.")
    kept, gone = (normalize(outputs(model, part.images)[1].double(), dim=1) for part in (pool, forget))
    cosines, rows = [], []
    for part in gone.split(chunk):  # all of (m, n) at once may not fit
        sorted_cosines, order = (part @ kept.T).sort(dim=1, descending=True, stable=True)
        cosines.append(sorted_cosines[:, :k])
        rows.append(order[:, :k])
    return torch.cat(rows), torch.cat(cosines)


def histograms(labels: torch.Tensor, classes: int, dtype: torch.dtype) -> torch.Tensor:
    """The share of each class in each row of labels (m, k): (m, classes), of `dtype`."""
    votes = torch.eye(classes, dtype=dtype, device=labels.device)
    return torch.stack([votes[row].mean(dim=0) for row in labels])


def unlearn(
    model,
    retain,
    forget,
    *,
    seed,
    loop=Loop(),
    k=1000,
    candidates=0,
    lr=1e-4,
    beta=2.0,
    epochs=20,
    batch_size=256,
    weight_decay=1e-6,
):
    """Return the student after `epochs`. Raises Diverged, and InputError if there are no k candidates.

    candidates: how many retained examples, those most similar to the set, may be neighbours; 0 is all.
    """
    pool = choose_support(model, retain, forget, candidates) if candidates else retain
    found, cosines = neighbours(model, pool, forget, k)
    labels = pool.labels[found]
    targets = histograms(labels, model.head.out_features, next(model.parameters()).dtype)
    student = fit_targets(
        model,
        lambda images, rows: targets[rows],
        retain,
        forget,
        stage="neighbour_labels",
        seed=seed,
        loop=loop,
        lr=lr,
        beta=beta,
        epochs=epochs,
        batch_size=batch_size,
        weight_decay=weight_decay,
    )
    notes = {
        "teacher_accuracy": 100 * float((targets.argmax(dim=1) == forget.labels).double().mean()),
        "support_affected": float(torch.isin(labels, forget.labels).double().mean()),
        "support_similarity": float(cosines.min()),
    }
    return Unlearned(student, notes, targets.clamp(min=1e-12).log().float().cpu().numpy())

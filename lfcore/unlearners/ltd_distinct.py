"""Local Teacher Distillation whose teacher sees no near-duplicate of a forgotten example.

As `ltd` (2605.31317), but retained examples whose features have a cosine of at least `limit` with those of any
forgotten example, in the original, can't be in the support; the k most similar of the others are. A teacher that
learned from copies of what is to be forgotten would teach it. Ours: 2601.06938 looks at near-duplicates, and what its
authors propose against them is not public. The near-duplicates stay in the retain set, with their labels.
Reads both sets. BatchNorm: student in train mode on mixed batches; teacher as in `ltd`.
"""

import torch

from lfcore.core.errors import InputError
from lfcore.core.examples import Examples
from lfcore.geometry.near_duplicates import nearness
from lfcore.models.predict import outputs
from lfcore.training.fit import Loop
from lfcore.unlearners import ltd

READS = {"forget", "retain"}


def choose_distinct(model, retain: Examples, forget: Examples, k: int, limit: float) -> Examples:
    """The k retained examples most similar to the forget set, of those that are no near-duplicate; all, if fewer."""
    features = [outputs(model, part.images)[1].cpu().numpy() for part in (retain, forget)]
    rows = torch.from_numpy(nearness(*features) < limit).nonzero()[:, 0].to(retain.labels.device)
    if len(rows) < 2:
        raise InputError(f"No retained examples are less near than {limit} to the forgotten: raise limit.")
    return ltd.choose_support(model, retain[rows], forget, min(k, len(rows)))


def unlearn(
    model,
    retain,
    forget,
    *,
    seed,
    loop=Loop(),
    limit=0.98,
    k=1000,
    lr=1e-4,
    beta=2.0,
    epochs=20,
    batch_size=256,
    weight_decay=1e-6,
    top=3,
    teacher="resnet8",
    teacher_lr=0.2,
    teacher_epochs=250,
    teacher_accuracy=0.99,
    teacher_batch_size=256,
):
    """Return the student after `epochs`. limit: a cosine. Raises Diverged, and InputError for an impossible limit."""
    return ltd.from_support(
        model,
        choose_distinct(model, retain, forget, k, limit),
        retain,
        forget,
        seed=seed,
        loop=loop,
        teacher={
            "network": teacher,
            "lr": teacher_lr,
            "epochs": teacher_epochs,
            "accuracy": teacher_accuracy,
            "batch_size": teacher_batch_size,
        },
        student={"lr": lr, "beta": beta, "epochs": epochs, "batch_size": batch_size, "weight_decay": weight_decay},
        top=top,
    )

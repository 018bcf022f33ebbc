"""Gradient ascent (GA) on the forget set alone.

    minimise  -(1/|B|) sum_{(x, y) in B} CE(f(x), y),   B a batch of D_f

As tested in Dolgova and Stich, Forgetting Has Neighbors, 2605.31317, sec. 5 and app. B.2 (SGD, momentum 0.9, weight
decay 1e-6, 5 epochs). Reads the forget set only. BatchNorm: "train", as in the paper's code, lets batches of the
forget set alone overwrite the running statistics; "frozen" keeps them.
"""

import copy

from torch.nn.functional import cross_entropy

from lfcore.core.seeds import generator
from lfcore.training.fit import Loop, fit

READS = {"forget"}


def unlearn(
    model,
    retain,
    forget,
    *,
    seed,
    loop=Loop(),
    lr,
    epochs=5,
    batch_size=256,
    weight_decay=1e-6,
    batchnorm="train",
    optimizer="sgd",
):
    """Return a copy of `model` after `epochs` of ascent. Raises Diverged if it leaves the finite numbers."""
    return fit(
        copy.deepcopy(model),
        forget.images,
        lambda logits, batch: -cross_entropy(logits, forget.labels[batch.rows]),
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        batchnorm=batchnorm,
        optimizer=optimizer,
        generator=generator(seed, "ascent", "batches"),
        loop=loop,
    )

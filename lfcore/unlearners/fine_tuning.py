"""Fine-tuning (FT) on the retain set: forget by no longer being reminded.

    minimise  (1/|B|) sum_{(x, y) in B} CE(f(x), y),   B a batch of D_r

As tested in 2605.31317, app. B.2 (SGD, momentum 0.9, weight decay 1e-6, 20 epochs). Reads the retain set only.
BatchNorm: in train mode, so the running statistics follow the retain set.
"""

import copy

from torch.nn.functional import cross_entropy

from lfcore.core.seeds import generator
from lfcore.training.fit import Loop, fit

READS = {"retain"}


def unlearn(model, retain, forget, *, seed, loop=Loop(), lr, epochs=20, batch_size=256, weight_decay=1e-6):
    """Return a copy of `model` trained on for `epochs` over the retain set. Raises Diverged."""
    return fit(
        copy.deepcopy(model),
        retain.images,
        lambda logits, batch: cross_entropy(logits, retain.labels[batch.rows]),
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        generator=generator(seed, "fine_tuning", "batches"),
        loop=loop,
    )

"""Random labels on the forget set alone, then fine-tuning on the retain set.

    first  minimise (1/|B|) sum_{B of D_f} CE(f(x), y'), y' random,  then  (1/|B|) sum_{B of D_r} CE(f(x), y)

The two-phase form that 2605.31317's Proposition 3.3 speaks of: fine-tuning repairs retained points, and not the part
of other points that lies in the forget span. Reads both sets, one after the other. BatchNorm: train mode in both
phases.
"""

from lfcore.training.fit import Loop
from lfcore.unlearners import fine_tuning, random_labels

READS = {"forget", "retain"}


def unlearn(
    model,
    retain,
    forget,
    *,
    seed,
    loop=Loop(),
    random_lr,
    lr,
    random_epochs=5,
    epochs=20,
    batch_size=256,
    weight_decay=1e-6,
):
    """Return a copy of `model` after `random_epochs` of random labels and `epochs` of fine-tuning. Raises Diverged."""
    common = {"seed": seed, "loop": loop, "batch_size": batch_size, "weight_decay": weight_decay}
    model = random_labels.unlearn(model, None, forget, lr=random_lr, epochs=random_epochs, **common)
    return fine_tuning.unlearn(model, retain, None, lr=lr, epochs=epochs, **common)

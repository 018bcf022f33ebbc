"""Gradient ascent on the forget set, then fine-tuning on the retain set.

    first  maximise (1/|B|) sum_{B of D_f} CE(f(x), y),   then  minimise (1/|B|) sum_{B of D_r} CE(f(x), y)

The usual repair of ascent; 2605.31317, sec. 3 says that it can only mend what the retain set spans. Reads both sets,
one after the other. BatchNorm: in train mode in both phases, so fine-tuning overwrites the statistics that ascent
ruined.
"""

from lfcore.training.fit import Loop
from lfcore.unlearners import ascent, fine_tuning

READS = {"forget", "retain"}


def unlearn(
    model,
    retain,
    forget,
    *,
    seed,
    loop=Loop(),
    ascent_lr,
    lr,
    ascent_epochs=5,
    epochs=20,
    batch_size=256,
    weight_decay=1e-6,
):
    """Return a copy of `model` after `ascent_epochs` of ascent and `epochs` of fine-tuning. Raises Diverged."""
    common = {"seed": seed, "loop": loop, "batch_size": batch_size, "weight_decay": weight_decay}
    model = ascent.unlearn(model, None, forget, lr=ascent_lr, epochs=ascent_epochs, **common)
    return fine_tuning.unlearn(model, retain, None, lr=lr, epochs=epochs, **common)

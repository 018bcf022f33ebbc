"""A control, not a method: gradient ascent at rate zero, which sees what ascent sees and updates no weight.

What a forget-only method in train mode does to a network through BatchNorm alone: its running statistics move towards
those of the forget set. Reads the forget set only. BatchNorm: running statistics drift; nothing else changes.
"""

from lfcore.training.fit import Loop
from lfcore.unlearners import ascent

READS = ascent.READS


def unlearn(model, retain, forget, *, seed, loop=Loop(), epochs=5, batch_size=256):
    """Return a copy of `model` whose BatchNorm statistics have seen the forget set `epochs` times, as ascent does."""
    return ascent.unlearn(model, retain, forget, seed=seed, loop=loop, lr=0.0, epochs=epochs, batch_size=batch_size)

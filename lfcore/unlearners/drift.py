"""A control, not a method: forward passes over the forget set in train mode, and no update of any weight.

What a forget-only method in train mode does to a network through BatchNorm alone: its running statistics move towards
those of the forget set. Reads the forget set only. BatchNorm: running statistics drift; nothing else changes.
"""

import copy

import torch

from lfcore.seeds import generator
from lfcore.train import batches

READS = {"forget"}


@torch.no_grad()
def unlearn(model, retain, forget, *, seed, epochs=5, batch_size=256):
    """Return a copy of `model` whose BatchNorm statistics have seen the forget set `epochs` times."""
    model = copy.deepcopy(model).train()
    stream = generator(seed, "ascent", "batches")  # the very batches that ascent sees
    for _ in range(epochs):
        for rows in batches(len(forget), batch_size, stream):
            model(forget.images[rows.to(forget.images.device)])
    return model.eval()

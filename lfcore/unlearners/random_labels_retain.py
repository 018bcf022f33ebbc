"""Random labels on the forget set, true labels on the whole retain set (the "RL" of 2605.31317's CIFAR tables).

    minimise  (1/|B|) sum_{B} CE(f(x), y~),   y~ = y on D_r,  y~ ~ Uniform{1..C} on D_f, drawn again each epoch

B is a batch of the shuffled concatenation of D_f and D_r. Labels over all classes, the true one allowed (app. B.2).
Reads both sets. BatchNorm: in train mode, so the running statistics follow mixed batches.
"""

import copy

import torch
from torch.nn.functional import cross_entropy

from lfcore.core.seeds import generator
from lfcore.training.fit import Loop, fit
from lfcore.unlearners.random_labels import draw

READS = {"forget", "retain"}


def unlearn(model, retain, forget, *, seed, loop=Loop(), lr, epochs=20, batch_size=256, weight_decay=1e-6):
    """Return a copy of `model` fitted to random labels on `forget` and true labels on `retain`. Raises Diverged."""
    drawn = draw(model, len(forget), epochs, seed=seed, stage="random_labels_retain", device=forget.labels.device)
    labels = torch.cat([drawn, retain.labels.expand(epochs, -1)], dim=1)
    return fit(
        copy.deepcopy(model),
        torch.cat([forget.images, retain.images]),
        lambda logits, batch: cross_entropy(logits, labels[batch.epoch, batch.rows]),
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        generator=generator(seed, "random_labels_retain", "batches"),
        loop=loop,
    )

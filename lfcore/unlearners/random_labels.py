"""Random labels (RL) on the forget set alone.

    minimise  (1/|B|) sum_{x in B} CE(f(x), y'),   y' ~ Uniform{1..C}, drawn again each epoch, B a batch of D_f

The forget-only form of 2605.31317, sec. 3 (its MNIST and synthetic experiments); labels over all classes, the true one
allowed. The released MNIST code differs: Adam (`optimizer="adam"`), labels that are never the forgotten class, and the
same label vector in every step. Reads the forget set only. BatchNorm: "train" lets batches of the forget set alone
overwrite the running statistics; "frozen" keeps them.
"""

import copy

import torch
from torch.nn.functional import cross_entropy

from lfcore.core.seeds import generator
from lfcore.training.fit import Loop, fit

READS = {"forget"}


def draw(model, n: int, epochs: int, *, seed: int, stage: str, device) -> torch.Tensor:
    """Random labels (epochs, n), uniform over all the classes of `model`, from the stream (seed, stage, "labels")."""
    labels = torch.randint(model.head.out_features, (epochs, n), generator=generator(seed, stage, "labels"))
    return labels.to(device)


def unlearn(
    model,
    retain,
    forget,
    *,
    seed,
    loop=Loop(),
    lr,
    epochs=20,
    batch_size=256,
    weight_decay=1e-6,
    batchnorm="train",
    optimizer="sgd",
):
    """Return a copy of `model` fitted to random labels on the forget set. Raises Diverged."""
    labels = draw(model, len(forget), epochs, seed=seed, stage="random_labels", device=forget.labels.device)
    return fit(
        copy.deepcopy(model),
        forget.images,
        lambda logits, batch: cross_entropy(logits, labels[batch.epoch, batch.rows]),
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        batchnorm=batchnorm,
        optimizer=optimizer,
        generator=generator(seed, "random_labels", "batches"),
        loop=loop,
    )

"""Boundary Shrink: give each forget image the label of the class just across the original's decision boundary.

    x' = x + bound * sign(gradient of CE(f_original(x), y)),   y' = argmax_{c != y} f_original(x')_c
    minimise  (1/|B|) sum_{x in B} CE(f(x), y'),   B a batch of D_f

Chen et al., Boundary Unlearning, 2303.11570, and its public code (github.com/TY-LEE-KR/Boundary-Unlearning-Code): FGSM
with bound 0.1 in pixels, SGD, momentum 0.9, rate 1e-5, 10 epochs, no weight decay, batch 64. There y' may be y where
FGSM fails, and x' is rounded to 8 bits; "nearest but incorrect", as the text says, is meant, so y is left out here.
Reads the forget set only. BatchNorm: "train", as in the public code, lets batches of the forget set alone overwrite
the running statistics; "frozen" keeps them.

lambda_1 below 1 or lambda_2 above 0 adds Spotter's plug-in (`_spotter_penalty.penalty`): lambda_1 times the loss above,
and the penalty, whose PGD images are within `eps`.
"""

import copy

import torch
from torch.nn.functional import cross_entropy, one_hot

from lfcore.core.examples import in_pixels
from lfcore.core.seeds import generator
from lfcore.models.predict import outputs
from lfcore.training.fit import Loop, fit
from lfcore.unlearners._spotter_penalty import penalty

READS = {"forget"}


def nearest_labels(model, forget, bound: float) -> torch.Tensor:
    """The class other than its own that `model` finds most likely at each image's FGSM image, (n,)."""
    model, forget = copy.deepcopy(model).eval().requires_grad_(False), in_pixels(forget)
    images = forget.images.clone().requires_grad_()
    loss = cross_entropy(model(images), forget.labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, images)
    logits = outputs(model, (forget.images + bound * gradient.sign()).clamp(0, 1))[0]
    return logits.masked_fill(one_hot(forget.labels, logits.shape[1]).bool(), -torch.inf).argmax(dim=1)


def unlearn(
    model,
    retain,
    forget,
    *,
    seed,
    loop=Loop(),
    lr=1e-5,
    bound=0.1,
    epochs=10,
    batch_size=64,
    weight_decay=0.0,
    batchnorm="train",
    lambda_1=1.0,
    lambda_2=0.0,
    eps=0.03,
):
    """Return a copy of `model` fitted to the nearest other labels. Raises Diverged."""
    labels = nearest_labels(model, forget, bound)
    student = copy.deepcopy(model)
    add = penalty(
        model, student, forget, seed=seed, stage="boundary_shrink", lambda_1=lambda_1, lambda_2=lambda_2, eps=eps,
        batch_size=batch_size,
    )  # fmt: skip
    return fit(
        student,
        forget.images,
        lambda logits, batch: lambda_1 * cross_entropy(logits, labels[batch.rows]) + add(),
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        batchnorm=batchnorm,
        generator=generator(seed, "boundary_shrink", "batches"),
        loop=loop,
    )

"""AMUN: fine-tune on the nearest adversarial examples of the forget set, with the wrong labels that they get.

    x' = the nearest l2 adversarial example of x in D_f,  y' = argmax f(x') of the original
    minimise  (1/|B|) sum_B CE(f(x), y)  over batches of D_r and {(x', y')}

Ebrahimpour-Boroojeny et al., AMUN, 2503.00917, as tested in 2605.31317, app. B.2 ("advonly": the forget images
themselves are not used). Search: PGD of 50 steps of size eps / 10 from the image, eps doubled until the prediction is
wrong; the paper's code starts from 0.01 for fifty images and then from their median, here every image starts from
`eps`. Images stay within [low, high], the range of a pixel. The learning rate falls tenfold every 5 epochs. Reads
both sets. BatchNorm: eval mode for the attack; then train mode on mixed batches.
"""

import copy

import torch
from torch.nn.functional import cross_entropy

from lfcore.core.examples import Examples, in_pixels
from lfcore.core.seeds import generator
from lfcore.training.fit import Loop, fit

READS = {"forget", "retain"}


def attack(model, examples: Examples, *, eps=0.01, steps=50, low=0.0, high=1.0, doublings=16) -> Examples:
    """Adversarial images and the labels that `model` gives them; an image that none fools keeps its last attempt."""
    model, examples = copy.deepcopy(model).eval().requires_grad_(False), in_pixels(examples)
    images, radius = examples.images.clone(), examples.images.new_full((len(examples),), eps)
    with torch.no_grad():
        waiting = torch.nonzero(model(images).argmax(dim=1) == examples.labels)[:, 0]
    for _ in range(doublings):
        if len(waiting) == 0:
            break
        images[waiting] = _pgd(
            model, examples.images[waiting], examples.labels[waiting], radius[waiting], steps, low, high
        )
        with torch.no_grad():
            waiting = waiting[model(images[waiting]).argmax(dim=1) == examples.labels[waiting]]
        radius[waiting] *= 2
    with torch.no_grad():
        return Examples(images, model(images).argmax(dim=1))


def _pgd(model, images, labels, radius, steps, low, high):
    """l2 PGD of each image within its own radius."""
    radius = radius.view(-1, 1, 1, 1)
    shift = torch.zeros_like(images)
    for _ in range(steps):
        moved = (images + shift).requires_grad_(True)
        (gradient,) = torch.autograd.grad(cross_entropy(model(moved), labels, reduction="sum"), moved)
        shift = shift + radius / 10 * gradient / _norm(gradient)
        shift = shift * (radius / _norm(shift)).clamp(max=1)
        shift = (images + shift).clamp(low, high) - images
    return images + shift


def _norm(images: torch.Tensor) -> torch.Tensor:
    return images.flatten(start_dim=1).norm(dim=1).clamp(min=1e-12).view(-1, 1, 1, 1)


def unlearn(model, retain, forget, *, seed, loop=Loop(), lr, eps=0.01, epochs=20, batch_size=256, weight_decay=1e-6):
    """Return a copy of `model` after `epochs` over the retain set and the adversarial examples. Raises Diverged."""
    both = attack(model, forget, eps=eps) + retain
    return fit(
        copy.deepcopy(model),
        both.images,
        lambda logits, batch: cross_entropy(logits, both.labels[batch.rows]),
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        schedule=lambda done: 0.1 ** (int(done * epochs + 1e-9) // 5),
        generator=generator(seed, "amun", "batches"),
        loop=loop,
    )

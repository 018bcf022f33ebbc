"""SalUn: random labels with the retain set, in the weights that matter most to the forget set.

    mask = the `ratio` of all weights with the largest |sum of gradients of CE over D_f|
    minimise  (1/|B|) sum_B CE(f(x), y~)  over the weights in the mask; the others keep every bit

Fan et al., SalUn, 2310.12508, eq. 3 and 5, as tested in 2605.31317, app. B.2: labels drawn again each epoch over all
classes, B a batch of D_f and D_r together. Weights outside the mask are put back after each step, against momentum
and weight decay. Reads both sets. BatchNorm: gradients for the mask in eval mode; then train mode on mixed batches,
so running statistics move, which no mask covers.

Variant: `mask_views="augmented"`, as in the code of 2605.31317, takes the mask's gradients at one random view of each
image. Where `loop.augment` is "none", as on digits, it is the same to the bit.

lambda_1 below 1 or lambda_2 above 0 adds Spotter's plug-in (`_spotter_penalty.penalty`, 2506.01318): lambda_1 times the
loss above, and the penalty, whose PGD images are within `eps` and whose own passes keep BatchNorm's statistics.
"""

import copy

import torch
from torch.nn.functional import cross_entropy

from lfcore.core.errors import InputError
from lfcore.core.examples import Examples
from lfcore.core.seeds import generator
from lfcore.models.gradients import summed, unflatten
from lfcore.training.augmentation import crop_flip, draw_views, padded
from lfcore.training.fit import Loop, fit
from lfcore.unlearners._spotter_penalty import penalty
from lfcore.unlearners.random_labels import draw

READS = {"forget", "retain"}


def saliency_mask(model, forget, ratio: float, batch_size: int = 256) -> dict[str, torch.Tensor]:
    """For each parameter, True where |gradient of the CE summed over `forget`| is in the top `ratio` of all weights."""
    sizes = summed(copy.deepcopy(model), forget, batch_size).abs()
    chosen = torch.zeros_like(sizes, dtype=torch.bool)
    chosen[sizes.argsort(descending=True, stable=True)[: round(ratio * len(sizes))]] = True
    names = (name for name, _ in model.named_parameters())
    return dict(zip(names, unflatten(model, chosen), strict=True))


def views(examples: Examples, kind: str, augment: str, seed: int) -> Examples:
    """The images as they are if `kind` is "plain"; if "augmented", a random view of each, as `fit` augments."""
    if kind not in ("plain", "augmented"):
        raise InputError(f"SalUn has no mask_views called {kind!r}: choose plain or augmented.")
    if kind == "plain" or augment == "none":
        return examples
    drawn = draw_views(len(examples), generator(seed, "salun", "mask views"))
    plan = torch.cat([torch.arange(len(examples))[None], drawn])
    return Examples(crop_flip(padded(examples.images), *plan.to(examples.images.device)), examples.labels)


def unlearn(
    model,
    retain,
    forget,
    *,
    seed,
    loop=Loop(),
    lr,
    ratio=0.5,
    mask_views="plain",
    epochs=20,
    batch_size=256,
    weight_decay=1e-6,
    lambda_1=1.0,
    lambda_2=0.0,
    eps=0.03,
):
    """Return a copy of `model` changed only in the `ratio` of its weights that the mask keeps.

    mask_views: "plain" or "augmented", the images whose gradients make the mask. Raises Diverged, and InputError for
    other views.
    """
    mask = saliency_mask(model, views(forget, mask_views, loop.augment, seed), ratio, batch_size)
    student = copy.deepcopy(model)
    frozen = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    drawn = draw(model, len(forget), epochs, seed=seed, stage="salun", device=forget.labels.device)
    labels = torch.cat([drawn, retain.labels.expand(epochs, -1)], dim=1)

    add = penalty(
        model, student, forget, seed=seed, stage="salun", lambda_1=lambda_1, lambda_2=lambda_2, eps=eps,
        batch_size=batch_size,
    )  # fmt: skip

    @torch.no_grad()
    def restore():
        for name, parameter in student.named_parameters():
            parameter.copy_(torch.where(mask[name], parameter, frozen[name]))

    return fit(
        student,
        torch.cat([forget.images, retain.images]),
        lambda logits, batch: lambda_1 * cross_entropy(logits, labels[batch.epoch, batch.rows]) + add(),
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        generator=generator(seed, "salun", "batches"),
        loop=loop,
        after_step=restore,
    )

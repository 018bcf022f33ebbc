"""What Spotter (2506.01318, eq. 5) adds to the loss of a host method."""

import copy
from collections.abc import Callable

import torch
from torch.nn.functional import kl_div, log_softmax

from lfcore.core.examples import Examples, in_pixels
from lfcore.core.seeds import generator
from lfcore.geometry.perturbations import dispersion, mask, perturb
from lfcore.models.networks import evaluating
from lfcore.models.predict import outputs
from lfcore.training.fit import cycle


def distil(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """KL(targets || softmax(logits)), the mean over the batch. Both (n, k); targets are probabilities."""
    return kl_div(log_softmax(logits, dim=1), targets, reduction="batchmean")


def penalty(
    model,
    student,
    forget: Examples,
    *,
    seed: int,
    stage: str,
    lambda_1: float,
    lambda_2: float,
    eps: float,
    batch_size: int,
) -> Callable[[], torch.Tensor]:
    """What Spotter adds to lambda_1 times the loss of a host: a function, to call once a step, that returns

        (1 - lambda_1) KL(p~(x') || u(x')) + lambda_2 dispersion(u(x))

    for a batch of forget images x and their PGD images x', made once from `model`, the original (in mode intended;
    the public code's in mode released). Its passes through `student` have BatchNorm frozen, whatever the host does.
    With lambda_1 = 1 and lambda_2 = 0 it is 0, and draws nothing.
    """
    if lambda_1 == 1 and lambda_2 == 0:
        return lambda: torch.zeros((), device=forget.images.device)
    original, forget = copy.deepcopy(model).eval().requires_grad_(False), in_pixels(forget)
    moved = perturb(original, forget, kind="pgd", eps=eps, mode="intended", seed=seed, stage=f"{stage} perturbations")
    targets = mask(outputs(original, moved)[0], forget.labels.unique())
    order = cycle(len(forget), batch_size, generator(seed, stage, "perturbed batches"))

    def add() -> torch.Tensor:
        rows = next(order).to(forget.labels.device)
        with evaluating(student):
            features = student.features(torch.cat([forget.images[rows], moved[rows]]))
        clean, near = features.split(len(rows))
        on_near = distil(student.head(near), targets[rows])
        return (1 - lambda_1) * on_near + lambda_2 * dispersion(clean, forget.labels[rows])

    return add

"""What OU@eps, Spotter and its plug-in share: images near the forget set, the masked original, dispersion.

Ha, Park and Yoon, Unlearning's Blind Spots, 2506.01318; public code: github.com/Seung-B/Spotter-Unlearning.
With f the original, u the unlearned model, and C the classes of the forget set:

    masked original  p~(x) = softmax(f(x)) with the classes C set to 0 and the rest renormalised
    near images      x' = x + d, x in D_f: PGD in the l-inf ball of radius eps, or Gaussian noise
    dispersion       the mean cosine of penultimate features of u, over pairs of images of one class

The public code differs from its text; `perturb` has both (MODES). Networks here read pixels in [0, 1], and those of
the public code read z = (x - mean) / std.

    intended  PGD in pixels, each step against the gradient of CE(f(x'), runner-up), so towards the boundary to that
              class; the runner-up is the second class, or the first where that is wrong already; clamped to [0, 1]
    released  PGD in z and *along* that gradient, so away from the runner-up; and z clamped to [0, 1], where pixels
              are, which cuts off every pixel outside [mean, mean + std]: the real change is far above eps
"""

import contextlib
import copy
from collections.abc import Callable, Iterator

import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax, normalize

from lfcore.errors import InputError
from lfcore.models import batchnorms
from lfcore.predict import outputs
from lfcore.seeds import generator
from lfcore.train import Examples, cycle, in_pixels

MODES = ("intended", "released")
STEPS = 3
"""PGD takes so many steps, each of eps / STEPS: the public code's 0.01 for its eps of 0.03."""


def mask(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Softmax of logits (n, k) with the probability of `classes` set to 0 and the rest renormalised, (n, k)."""
    kept = torch.ones(logits.shape[1], dtype=torch.bool, device=logits.device)
    kept[classes] = False
    if not kept.any():
        raise InputError("The forget set has every class, so the masked original predicts nothing: forget fewer.")
    return logits.masked_fill(~kept, -torch.inf).softmax(dim=1)


def distil(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """KL(targets || softmax(logits)), the mean over the batch. Both (n, k); targets are probabilities."""
    return kl_div(log_softmax(logits, dim=1), targets, reduction="batchmean")


def dispersion(features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The mean cosine of features (n, d) over pairs of different examples with one label, (n,); 0 without a pair."""
    unit = normalize(features, dim=1)
    pairs = (labels[:, None] == labels[None, :]) & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return (unit @ unit.T)[pairs].sum() / pairs.sum().clamp(min=1)


def runner_up(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The class that PGD aims at, (n,): the second choice, or the first where that is not the label."""
    first, second = logits.topk(2, dim=1).indices.T
    return torch.where(first == labels, second, first)


def pgd(model, images, labels, noise, *, eps: float, sign: int) -> torch.Tensor:
    """Images moved by `sign` times the gradient of CE towards the runner-up, within eps of `images` and in [0, 1].

    noise: (n, c, h, w) in [-1, 1], where each starts, in units of eps. model: a function to logits.
    """
    with torch.no_grad():
        target = runner_up(model(images), labels)
    moved = (images + eps * noise).clamp(0, 1)
    for _ in range(STEPS):
        moved.requires_grad_()
        (gradient,) = torch.autograd.grad(cross_entropy(model(moved), target, reduction="sum"), moved)
        moved = moved.detach() + sign * (eps / STEPS) * gradient.sign()
        moved = moved.clamp(images - eps, images + eps).clamp(0, 1)
    return moved


def perturb(
    model, examples: Examples, *, kind: str, eps: float, mode: str, seed: int, stage: str, mean=0.0, std=1.0
) -> torch.Tensor:
    """Images near those of `examples`, one for each, in pixels (n, c, h, w). model: the original, in eval mode.

    kind: "pgd", or "gaussian" with standard deviation eps / 3 (the public code's 0.01 beside its eps of 0.03).
    eps: in pixels, or in units of `std` if released. mean, std: a number, or one for each channel; of mode released.
    The noise comes from the stream (seed, stage, kind): every eps and mode has the same, scaled.
    """
    if mode not in MODES or kind not in ("pgd", "gaussian"):
        raise InputError(f"There are no images {mode!r} {kind!r}: choose intended or released, pgd or gaussian.")
    images, random = in_pixels(examples).images, generator(seed, stage, kind)
    if kind == "pgd":
        noise = 2 * torch.rand(images.shape, generator=random) - 1
    else:
        noise = torch.randn(images.shape, generator=random)
    noise, scale = noise.to(images.device), (mean, std) if mode == "released" else (0.0, 1.0)
    shift, unit = (torch.as_tensor(one, dtype=images.dtype, device=images.device).view(-1, 1, 1) for one in scale)
    inputs = (images - shift) / unit
    if kind == "gaussian":
        moved = (inputs + eps / 3 * noise).clamp(0, 1)
    else:
        sign = -1 if mode == "intended" else 1
        moved = pgd(lambda z: model(z * unit + shift), inputs, examples.labels, noise, eps=eps, sign=sign)
    return moved * unit + shift


@contextlib.contextmanager
def frozen(model) -> Iterator[None]:
    """Within the block BatchNorm uses its running statistics and keeps them; afterwards it is as it was."""
    training = [layer for layer in batchnorms(model) if layer.training]
    for layer in training:
        layer.eval()
    try:
        yield
    finally:
        for layer in training:
            layer.train()


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
        with frozen(student):
            features = student.features(torch.cat([forget.images[rows], moved[rows]]))
        clean, near = features.split(len(rows))
        on_near = distil(student.head(near), targets[rows])
        return (1 - lambda_1) * on_near + lambda_2 * dispersion(clean, forget.labels[rows])

    return add

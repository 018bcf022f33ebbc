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

import torch
from torch.nn.functional import cross_entropy, normalize

from lfcore.core.errors import InputError
from lfcore.core.examples import Examples, in_pixels
from lfcore.core.seeds import generator

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
        noise = 2 * torch.rand(images.shape, generator=random, dtype=images.dtype) - 1
    else:
        noise = torch.randn(images.shape, generator=random, dtype=images.dtype)
    noise, scale = noise.to(images.device), (mean, std) if mode == "released" else (0.0, 1.0)
    shift, unit = (torch.as_tensor(one, dtype=images.dtype, device=images.device).view(-1, 1, 1) for one in scale)
    inputs = (images - shift) / unit
    if kind == "gaussian":
        moved = (inputs + eps / 3 * noise).clamp(0, 1)
    else:
        sign = -1 if mode == "intended" else 1
        moved = pgd(lambda z: model(z * unit + shift), inputs, examples.labels, noise, eps=eps, sign=sign)
    return moved * unit + shift

"""Training images from the weights of a small network: reconstruction by the stationarity (KKT) conditions.

Haim et al., Reconstructing Training Data from Trained Neural Networks, 2206.07758: a homogeneous network trained long
enough is a sum of gradients at its training examples,

    theta = sum_i sum_c a_ic grad_theta f_c(x_i),    a_ic >= 0 for the own class c = y_i and <= 0 for others,

so that x and a are found by minimising the squared distance of both sides. The original is binary, without weight
decay, on 500 images, with networks of 1000 units; for several classes, and with weight decay, where the condition
holds at any stationary point, see Buzaglo et al., 2307.01827. Ours, scaled down: one hidden layer, up to 60 images,
all classes, weight decay, some thousand steps of Adam with linear decay; the released settings are others. As in the
original, ReLU has the derivative of a steep softplus where candidates are moved, candidates outside the pixels' range
are penalised, and there are twice as many candidates as images.

Every function does several networks at once, along the first axis. Images are vectors less a fixed mean here.
"""

import math
from typing import NamedTuple

import numpy as np
import torch

from lfcore.core.errors import Diverged, InputError
from lfcore.core.seeds import generator
from lfcore.models.networks import Classifier

MOST_STEPS = 100_000


class Weights(NamedTuple):
    """Networks of one hidden layer. first: (networks, hidden, pixels), bias: (networks, hidden), second: (networks,
    classes, hidden)."""

    first: torch.Tensor
    bias: torch.Tensor
    second: torch.Tensor


def initial(seeds: list[int], stage: str, pixels: int, hidden: int, classes: int) -> Weights:
    """Normal weights in float64 with variance 1 / inputs, and no bias, from the stream of each seed."""
    draws = [generator(seed, stage, "weights") for seed in seeds]
    first = torch.stack(
        [torch.randn(hidden, pixels, generator=draw, dtype=torch.float64) for draw in draws]
    ) / math.sqrt(pixels)
    second = torch.stack(
        [torch.randn(classes, hidden, generator=draw, dtype=torch.float64) for draw in draws]
    ) / math.sqrt(hidden)
    return Weights(first, first.new_zeros(len(seeds), hidden), second)


def combine(weights: Weights, images: torch.Tensor, amounts: torch.Tensor, slope=None) -> tuple[torch.Tensor, ...]:
    """sum_i sum_c amounts_ic grad f_c(x_i), in the shapes of `weights`.

    images: (networks, n, pixels); amounts: (networks, n, classes). slope: the derivative of ReLU at the hidden layer's
    inputs (networks, n, hidden); None for the exact one.
    """
    inputs = images @ weights.first.mT + weights.bias[:, None]
    slope = (inputs > 0).to(inputs.dtype) if slope is None else slope(inputs)
    back = slope * (amounts @ weights.second)
    return back.mT @ images, back.sum(dim=1), amounts.mT @ inputs.relu()


def logits(weights: Weights, images: torch.Tensor) -> torch.Tensor:
    """(networks, n, classes) of images (networks, n, pixels)."""
    return (images @ weights.first.mT + weights.bias[:, None]).relu() @ weights.second.mT


@torch.no_grad()
def train(
    images: torch.Tensor,
    labels: torch.Tensor,
    classes: int,
    *,
    seeds: list[int],
    stage: str,
    hidden: int,
    steps: int,
    lr: float,
    weight_decay: float,
    momentum: float = 0.9,
) -> Weights:
    """A network for each seed, trained on all images at once: cross-entropy, momentum, linear decay of the rate.

    images: (n, pixels), labels: (n,). Raises Diverged if a weight is not finite.
    """
    if not 1 <= steps <= MOST_STEPS:
        raise InputError(f"Training takes 1 to {MOST_STEPS} steps, not {steps}: change steps.")
    weights = initial(seeds, stage, images.shape[1], hidden, classes)
    wanted = torch.nn.functional.one_hot(labels, classes).to(images.dtype)
    images = images.expand(len(seeds), *images.shape)
    speed = [torch.zeros_like(part) for part in weights]
    for step in range(steps):
        amounts = (wanted - logits(weights, images).softmax(dim=2)) / len(labels)
        rate = lr * (1 - step / steps)
        for part, moving, down in zip(weights, speed, combine(weights, images, amounts), strict=True):
            moving.mul_(momentum).add_(down - weight_decay * part)
            part.add_(moving, alpha=rate)
    if not all(torch.isfinite(part).all() for part in weights):
        raise Diverged(f"A weight was not finite after {steps} steps: lower lr ({lr}).")
    return weights


def classifier(weights: Weights, place: int, shape: tuple[int, ...]) -> Classifier:
    """One of the networks as a model like any other, for images of `shape` (c, h, w), so that unlearners take it."""
    _, hidden, pixels = weights.first.shape
    if math.prod(shape) != pixels:
        raise InputError(f"Images of shape {shape} do not have {pixels} pixels: give the shape trained on.")
    layer = torch.nn.utils.skip_init(torch.nn.Linear, pixels, hidden, dtype=weights.first.dtype)
    body = torch.nn.Sequential(torch.nn.Flatten(), layer, torch.nn.ReLU())
    model = Classifier(body, hidden, weights.second.shape[1])
    head = {"bias": False, "dtype": weights.second.dtype}
    model.head = torch.nn.utils.skip_init(torch.nn.Linear, hidden, weights.second.shape[1], **head)
    with torch.no_grad():
        for own, part in zip((layer.weight, layer.bias, model.head.weight), weights, strict=True):
            own.copy_(part[place])
    return model.eval()


def read(models: list[Classifier]) -> Weights:
    """The weights of models that `classifier` made, whatever was done to them since."""
    parts = [(model.body[1].weight, model.body[1].bias, model.head.weight) for model in models]
    return Weights(*(torch.stack([one.detach() for one in part]) for part in zip(*parts, strict=True)))


def recover(
    weights: Weights,
    candidates: int,
    *,
    low: torch.Tensor,
    high: torch.Tensor,
    seed: int,
    steps: int,
    lr: float = 0.02,
    steepness: float = 30.0,
    spread: float = 0.01,
) -> tuple[torch.Tensor, np.ndarray]:
    """Candidate images (networks, candidates, pixels), and how much of |theta|^2 each network's sum leaves over.

    Classes are dealt to candidates in turn. low, high: the range of each pixel, (pixels,). spread: the standard
    deviation that candidates begin with. Networks do not influence one another, but share the first candidates.
    """
    if not 1 <= steps <= MOST_STEPS:
        raise InputError(f"Recovery takes 1 to {MOST_STEPS} steps, not {steps}: change steps.")
    networks, classes, _ = weights.second.shape
    own = torch.nn.functional.one_hot(torch.arange(candidates) % classes, classes).to(weights.first.dtype)
    draw = generator(seed, "reconstruct", "candidates")
    first = torch.randn(candidates, len(low), generator=draw, dtype=own.dtype) * spread
    images = first.repeat(networks, 1, 1).requires_grad_()
    amounts = (0.1 + 0.1 * own).repeat(networks, 1, 1).requires_grad_()
    sizes = sum(part.square().flatten(start_dim=1).sum(dim=1) for part in weights)

    def slope(inputs):
        smooth = torch.sigmoid(steepness * inputs)
        return (inputs > 0).to(inputs.dtype) + smooth - smooth.detach()  # exact values, smooth derivatives

    def left():
        sums = combine(weights, images, (2 * own - 1) * amounts.abs(), slope)
        pairs = zip(weights, sums, strict=True)
        return sum((part - total).square().flatten(start_dim=1).sum(dim=1) for part, total in pairs)

    descent = torch.optim.Adam([{"params": [images], "lr": lr}, {"params": [amounts], "lr": lr / 2}])
    decay = torch.optim.lr_scheduler.LambdaLR(descent, lambda step: 1 - step / steps)
    for _ in range(steps):
        outside = (images - high).relu().square().sum() + (low - images).relu().square().sum()
        loss = left().sum() + outside
        descent.zero_grad()
        loss.backward()
        descent.step()
        decay.step()
    with torch.no_grad():
        return images.detach(), (left() / sizes).numpy()


def correlate(images: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Normalised cross-correlation of each image (n, pixels) with each candidate (m, pixels), (n, m)."""
    parts = []
    for part in (images, candidates):
        centred = part - part.mean(axis=1, keepdims=True)
        norms = np.linalg.norm(centred, axis=1, keepdims=True)
        parts.append(np.divide(centred, norms, out=np.zeros_like(centred), where=norms > 0))
    return parts[0] @ parts[1].T


def uniform_ssim(images: np.ndarray, others: np.ndarray, *, size: int = 7, span: float = 1.0) -> np.ndarray:
    """Structural similarity of pairs of images (…, height, width), averaged over all windows that fit; (…).

    Wang et al. 2004, with a uniform window of `size` pixels, sample covariances, K1 = 0.01, K2 = 0.03, as the default
    of scikit-image. span: the range of a pixel's values.
    """
    if images.shape[-1] < size or images.shape[-2] < size:
        raise InputError(f"Images of {images.shape[-2:]} pixels have no window of {size}: lower size.")
    windows = [
        np.lib.stride_tricks.sliding_window_view(part.astype(np.float64), (size, size), axis=(-2, -1))
        for part in (images, others)
    ]
    means = [part.mean(axis=(-2, -1)) for part in windows]
    offsets = [part - mean[..., None, None] for part, mean in zip(windows, means, strict=True)]
    a, b, both = (
        (one * other).sum(axis=(-2, -1)) / (size**2 - 1)
        for one, other in ((offsets[0], offsets[0]), (offsets[1], offsets[1]), offsets)
    )
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    values = (2 * means[0] * means[1] + c1) * (2 * both + c2)
    values /= (means[0] ** 2 + means[1] ** 2 + c1) * (a + b + c2)
    return values.mean(axis=(-2, -1))


def nearest(images: np.ndarray, candidates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each image (n, h, w) the candidate (m, h, w) that correlates most with it, and the SSIM of the two."""
    order = correlate(images.reshape(len(images), -1), candidates.reshape(len(candidates), -1)).argmax(axis=1)
    best = candidates[order]
    return best, uniform_ssim(images, best)

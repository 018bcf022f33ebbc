"""Gradient inversion: can the pictures themselves be had back?

    minimise over x' in [low, high]   1 - cos(grad_theta CE(m(x'), y), g) + tv TV(x')

by Adam on the sign of the gradient, its rate falling to 0, one image at a time (a batch of 1, though several run beside
one another); Geiping et al., Inverting Gradients, 2003.14053. TV(x') is the mean absolute difference of neighbouring
pixels, down and across. Two threat models, which differ in g and theta; in both the attacker knows the network, the
range of a pixel and the label y, and starts from grey with noise:

    gradient     g is the gradient of *one* forgotten example in the unlearned model theta_u, as a device that trains it
                 gives away. Tells how much of a picture passes through theta_u, whether or not it was ever learned.
    difference   both published models: g = theta_u - theta_0, theta = theta_0, and no data at all. Unlearning moves
                 uphill in the loss of what it forgets, so that g is taken for its gradient; after Hu et al., unlearning
                 inversion, 2404.03233, where one example is forgotten. Of a larger set, g mixes all its examples.
                 BatchNorm's statistics have no gradient and are left out; where no weight changed there are no rows.

2507.07754 reports a gradient-inversion attack without any detail that is public, so all choices are ours.

Rows, scope "attacker", key "gradient" or "difference", means over the images of one model: `inversion_psnr` (dB) and
`inversion_ssim` (`geometry.image_quality`) of a picture against its example (difference: against the nearest forgotten
one), `inversion_cosine` that was reached, and `inversion_hit` in percent: how often the nearest of all forgotten
pictures is the right one (gradient), or how often the nearest of equally many forgotten and test pictures of each class
is a forgotten one (difference). Beside them, the same for every model: `inversion_chance`, the hit rate of a guess, and
of the key "gradient" `inversion_psnr_blind` and `inversion_ssim_blind`, of who shows the mean test picture of the
label.

Kept for figures: `inversion_targets`, `inversion_gradient` and `inversion_difference`, (n, c, h, w).
"""

import numpy as np
import torch
from torch.nn.functional import cosine_similarity

from lfcore.core.examples import Examples
from lfcore.core.run import Row
from lfcore.core.seeds import generator
from lfcore.geometry.image_quality import distances, gaussian_ssim, psnr
from lfcore.models.gradients import per_example


def total_variation(images: torch.Tensor) -> torch.Tensor:
    """The mean absolute difference of neighbouring pixels, down and across, of each of images (n, c, h, w): (n,)."""
    down, across = images.diff(dim=2), images.diff(dim=3)
    return down.abs().mean(dim=(1, 2, 3)) + across.abs().mean(dim=(1, 2, 3))


def invert(
    model,
    gradients: torch.Tensor,
    labels: torch.Tensor,
    shape: tuple[int, int, int],
    *,
    limits: tuple[float, float],
    seed: int,
    purpose: str,
    steps: int,
    lr: float,
    tv: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (n, *shape) whose gradients in `model` point as `gradients`, and the cosines they reach, (n,).

    gradients: (n, parameters), in the order of `models.gradients.per_example`; labels: (n,). limits: of a pixel; lr is
    a share of their distance.
    """
    low, high = limits
    random = generator(seed, "inversion", purpose)
    noise = torch.randn(len(labels), *shape, generator=random, dtype=gradients.dtype).to(gradients.device)
    images = ((low + high) / 2 + 0.1 * (high - low) * noise).clamp(low, high).requires_grad_()
    descent = torch.optim.Adam([images], lr * (high - low))
    schedule = torch.optim.lr_scheduler.LambdaLR(descent, lambda step: 1 - step / steps)
    for _ in range(steps):
        found = next(per_example(model, Examples(images, labels), chunk=len(labels)))
        loss = (1 - cosine_similarity(found, gradients, dim=1) + tv * total_variation(images)).sum()
        images.grad = torch.autograd.grad(loss, images)[0].sign()
        descent.step()
        schedule.step()
        with torch.no_grad():
            images.clamp_(low, high)
    images = images.detach()
    found = next(per_example(model, Examples(images, labels), chunk=len(labels)))
    return images, cosine_similarity(found, gradients, dim=1)


def difference(model, original) -> torch.Tensor:
    """theta_u - theta_0, (parameters,)."""
    pairs = zip(model.parameters(), original.parameters(), strict=True)
    return torch.cat([(after - before).detach().flatten() for after, before in pairs])


def lineup(forget: Examples, test: Examples) -> tuple[torch.Tensor, torch.Tensor]:
    """Equally many forgotten and test images of each class of the forget set, the first ones: two (n, c, h, w)."""
    parts = []
    for label in forget.labels.unique():
        pair = [examples.images[examples.labels == label] for examples in (forget, test)]
        parts.append([images[: min(map(len, pair))] for images in pair])
    return tuple(torch.cat(images) for images in zip(*parts, strict=True))


def probe(subject, *, images: int = 4, restarts: int = 2, steps: int = 120, lr: float = 0.3, tv: float = 0.03):
    """Rows of both threat models. images: how many forgotten examples' gradients; restarts: of the difference."""
    forget, test = subject.forget, subject.test
    limits = float(test.images.min()), float(test.images.max())
    peak = limits[1] - limits[0]
    options = {"limits": limits, "seed": subject.seed, "steps": steps, "lr": lr, "tv": tv}
    shape = tuple(forget.images.shape[1:])
    whole = forget.images.cpu().numpy()

    def rows(key, found, truth, cosines, hits, chance):
        numbers = {
            "inversion_psnr": np.mean(psnr(found, truth, peak)),
            "inversion_ssim": np.mean(gaussian_ssim(found, truth, peak)),
            "inversion_cosine": float(cosines.mean()),
            "inversion_hit": 100 * np.mean(hits),
        }
        for metric, value in numbers.items():
            yield Row(subject.seed, "", "forget", metric, "attacker", key, float(value))
        yield Row(subject.seed, "", "forget", "inversion_chance", "attacker", key, chance)

    targets = forget[:images]
    given = next(per_example(subject.model, targets, chunk=len(targets))).detach()
    found, cosines = invert(subject.model, given, targets.labels, shape, purpose="gradient", **options)
    pictures, truth = found.cpu().numpy(), targets.images.cpu().numpy()
    hits = distances(pictures, whole).argmin(axis=1) == np.arange(len(targets))
    yield from rows("gradient", pictures, truth, cosines, hits, 100 / len(whole))
    blind = torch.stack([test.images[test.labels == label].mean(dim=0) for label in targets.labels]).cpu().numpy()
    for metric, measure in (("inversion_psnr_blind", psnr), ("inversion_ssim_blind", gaussian_ssim)):
        yield Row(
            subject.seed, "", "forget", metric, "attacker", "gradient", float(np.mean(measure(blind, truth, peak)))
        )
    subject.kept.update(inversion_targets=truth, inversion_gradient=pictures)

    moved = difference(subject.model, subject.original)
    if not moved.any():
        return
    labels = forget.labels[:restarts]
    given = moved.expand(len(labels), -1)
    found, cosines = invert(subject.original, given, labels, shape, purpose="difference", **options)
    pictures, suspects = found.cpu().numpy(), [part.cpu().numpy() for part in lineup(forget, test)]
    truth = whole[distances(pictures, whole).argmin(axis=1)]
    hits = distances(pictures, np.concatenate(suspects)).argmin(axis=1) < len(suspects[0])
    yield from rows("difference", pictures, truth, cosines, hits, 50.0)
    subject.kept.update(inversion_difference=pictures)

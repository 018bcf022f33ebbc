"""Can the targets be recovered from the weights, before unlearning and after it?

2601.06938 judges forgetting by reconstruction: images are recovered from a model before and after unlearning, and the
recovered image closest to each target is compared with it by SSIM. Which reconstruction it uses is not public; that of
2206.07758 is inferred, since it recovers training images of small networks and is judged in the same way
(`experiments._reconstruction` says what is scaled down). Closest is by correlation here, in grey values averaged over
channels.

The chance level is what makes the number readable: the same candidates are searched for the nearest to test images,
which no model has seen, and a candidate as near as that shows nothing.
"""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from lfcore.core.data import Data
from lfcore.core.errors import InputError
from lfcore.core.examples import Examples
from lfcore.experiments import _reconstruction as reconstruction
from lfcore.experiments import _residual as residual
from lfcore.models.predict import outputs

MOST = 60
"""Training images, at most: the attack is for few."""
CHANCE = 100
"""Test images, the first, for the chance level."""


def train(parts: residual.Parts, seeds: list[int], shape: tuple, unlearners: dict[str, dict], **recipe) -> dict:
    """The models of all seeds by name: the original, both references, and after each of `unlearners`.

    shape: of an image, (c, h, w). recipe: options of `experiments._reconstruction.train`.
    """
    sets = {"original": parts.targets + parts.retain, "retrained": parts.retain, residual.FLOOR: parts.ordinary}
    models = {}
    for name, part in sets.items():
        stage = "reconstruction original" if name == "original" else "reconstruction retrained"
        vectors = part.images.flatten(start_dim=1)
        weights = reconstruction.train(vectors, part.labels, parts.classes, seeds=seeds, stage=stage, **recipe)
        models[name] = [reconstruction.classifier(weights, place, shape) for place in range(len(seeds))]
    for name, options in unlearners.items():
        models[name] = [
            residual.forget(name, model, parts.targets, parts.retain, seed, options)
            for seed, model in zip(seeds, models["original"], strict=True)
        ]
    return models


def experiment(
    data: Data,
    *,
    seeds: list[int],
    device: str,
    targets: int = 5,
    ordinary: int = 15,
    copies: int = 3,
    block: int = 1,
    share: float = 0.2,
    hidden: int = 300,
    steps: int = 6000,
    lr: float = 0.1,
    weight_decay: float = 0.001,
    recovery_steps: int = 2500,
    unlearners: dict[str, dict] | None = None,
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Rows of every unlearner, `original`, `retrained` and `influence_free`, for each seed.

    "ssim" of the best candidates: split "forget", mean over targets; split "test", chance;
    "ssim_above_chance", their difference; "left", the share of |theta|^2 that candidates do not explain; and
    "confidence" on the targets. hidden, steps, lr, weight_decay: of the networks. Arrays: "targets" (t, h, w),
    "<unlearner>_best" (seeds, t, h, w) and "<unlearner>_ssim" (seeds, t). Always on the CPU.
    """
    total = targets * (copies + 1) + ordinary
    if total > MOST:
        raise InputError(
            f"Reconstruction is for at most {MOST} images, not {total}: lower targets, copies or ordinary."
        )
    unlearners = unlearners or {}
    residual.prepare(seeds, 1, "cnn", unlearners, "cpu")
    chosen = residual.draw(data, targets, "targets")
    masks = {"copies": copies, "block": block, "share": share}
    parts, _ = residual.with_copies(data, chosen, chosen, **masks, ordinary=ordinary, device="cpu")
    mean = torch.from_numpy(data.images[data.test].mean(axis=0)).double()
    sets = {name: getattr(parts, name) for name in ("targets", "similar", "ordinary", "test")}
    parts = replace(parts, **{name: Examples(part.images - mean, part.labels) for name, part in sets.items()})
    recipe = {"hidden": hidden, "steps": steps, "lr": lr, "weight_decay": weight_decay}
    models = train(parts, seeds, data.images.shape[1:], unlearners, **recipe)
    grey = data.images.mean(axis=1)
    return attack(models, parts, mean, grey[chosen], grey[data.test[:CHANCE]], seeds, 2 * total, recovery_steps)


def attack(models, parts, mean, targets, unseen, seeds, candidates, steps):
    """The table and the arrays of `experiment`. targets, unseen: grey images (n, h, w)."""
    shape = mean.shape
    low, high = (bound - mean.flatten() for bound in (0.0, 1.0))
    weights = reconstruction.read([model for found in models.values() for model in found])
    images, left = reconstruction.recover(weights, candidates, low=low, high=high, seed=0, steps=steps)
    recovered = (images + mean.flatten()).clamp(0, 1).reshape(len(models), len(seeds), candidates, *shape)
    recovered, left = recovered.mean(dim=3).numpy(), left.reshape(len(models), len(seeds))
    rows, arrays = [], {"targets": targets}
    for place, (name, own) in enumerate(models.items()):
        found = []
        for position, seed in enumerate(seeds):
            found.append(reconstruction.nearest(targets, recovered[place, position]))
            chance = float(reconstruction.nearest(unseen, recovered[place, position])[1].mean())
            close = float(found[-1][1].mean())
            right = outputs(own[position], parts.targets.images)[0].softmax(dim=1)
            confidence = right[torch.arange(len(targets)), parts.targets.labels].mean()
            rows += [
                (name, seed, "", "forget", "ssim", "all", "", close),
                (name, seed, "", "test", "ssim", "all", "", chance),
                (name, seed, "", "forget", "ssim_above_chance", "all", "", close - chance),
                (name, seed, "", "forget", "confidence", "all", "", float(confidence)),
                (name, seed, "", "all", "left", "all", "", float(left[place, position])),
            ]
        best, scores = map(np.stack, zip(*found, strict=True))
        arrays |= {f"{name}_best": best, f"{name}_ssim": scores}
    return residual.table(rows), arrays

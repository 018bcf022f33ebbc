"""What the audit's notebook audits: a torchvision network on digits, and one that a naive person unlearned.

Small enough for a minute or two on one core. Nothing here is part of a result.
"""

import copy
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy, interpolate
from torch.utils.data import TensorDataset

from lfcore.core import seeds
from lfcore.core.paths import atomic
from lfcore.datasets import _load as data
from lfcore.models.torchvision import torchvision
from lfcore.training.fit import fit, linear

TRAINED = 700
"""Train examples: about half of the digits', so that mistakes are left to find."""


def load() -> tuple[TensorDataset, TensorDataset]:
    """Digits of 16x16 pixels in three channels, TRAINED to train on and the data set's test examples."""
    digits = data.load("digits")
    images = interpolate(torch.from_numpy(digits.images).float(), size=16, mode="bilinear").repeat(1, 3, 1, 1)
    labels = torch.from_numpy(digits.labels)
    return tuple(TensorDataset(images[rows], labels[rows]) for rows in (digits.train[:TRAINED], digits.test))


def choose_forget(train: TensorDataset, label: int, share: float) -> list[int]:
    """The first `share` of the train examples of one class."""
    rows = torch.nonzero(train.tensors[1] == label)[:, 0].tolist()
    return rows[: int(share * len(rows))]


def _fit(network: torch.nn.Module, images, labels, *, seed: int, stage: str, **options) -> torch.nn.Module:
    return fit(
        network,
        images,
        lambda logits, batch: cross_entropy(logits, labels[batch.rows]),
        batch_size=64,
        generator=seeds.generator(seed, stage, "batches"),
        **options,
    )


def fit_resnet(train: TensorDataset, left_out: list[int], *, seed: int, epochs: int) -> torch.nn.Module:
    """torchvision's resnet18 from scratch, on all train examples but `left_out`, in eval mode."""
    stage = "demo retrained" if left_out else "demo original"
    keep = torch.ones(len(train), dtype=torch.bool)
    keep[left_out] = False
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seeds.number(seed, stage, "weights"))
        network = torchvision.models.resnet18(num_classes=10)
    recipe = {"lr": 0.05, "weight_decay": 5e-4, "nesterov": True, "schedule": linear}
    return _fit(network, *train[keep], seed=seed, stage=stage, epochs=epochs, **recipe)


def relabel(model: torch.nn.Module, train: TensorDataset, forget: list[int], *, seed: int, epochs: int, lr: float):
    """A naive unlearned model: the original, trained on the forget examples with labels drawn at random."""
    images, labels = train[forget]
    stage = "demo relabel"
    wrong = torch.randint(1, 10, labels.shape, generator=seeds.generator(seed, stage, "labels"))
    options = {"epochs": epochs, "lr": lr, "batchnorm": "frozen"}
    return _fit(copy.deepcopy(model), images, (labels + wrong) % 10, seed=seed, stage=stage, **options)


def save_like_salun(model: torch.nn.Module, path: str | Path) -> None:
    """Save weights as OPTML-Group/Unlearn-Saliency does, here with a normalisation that changes nothing."""
    normalize = {"normalize.mean": torch.zeros(3), "normalize.std": torch.ones(3)}
    result = {"accuracy": {"test": 0.0}, "SVC_MIA_forget_efficacy": {"confidence": np.float64(0.0)}}
    with atomic(path) as partial:
        torch.save({"state_dict": normalize | model.state_dict(), "evaluation_result": result}, partial)

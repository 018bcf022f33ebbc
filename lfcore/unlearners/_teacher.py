"""The teacher of Local Teacher Distillation: a small network that learns the support, and what it says of D_f.

Dolgova and Stich, 2605.31317, sec. 4, app. B.2: ResNet-8 from scratch, SGD 0.2, weight decay 1e-4, batches of 256,
tenfold less after 200 of at most 250 epochs, stopped at a running training accuracy of 0.99. That is some 800 steps
there. On small data it is a few dozen, after which BatchNorm's running statistics still lie far behind the weights, and
a teacher that knows its support in train mode does not know it in eval mode, in which it teaches. So here it must know
its support in eval mode: BatchNorm's statistics are computed anew over the whole support, un-augmented, and the
accuracy there must be reached too. `statistics="running"` is the released behaviour.
"""

import copy
import warnings
from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from lfcore.core import seeds
from lfcore.core.errors import InputError
from lfcore.core.examples import Examples
from lfcore.core.seeds import generator
from lfcore.geometry.similarity import to_forget_set
from lfcore.models import networks
from lfcore.models.predict import outputs
from lfcore.training.batchnorm import recompute_statistics
from lfcore.training.fit import Loop, fit


class Teacher(NamedTuple):
    """A trained teacher, in eval mode: the epochs it took, and its accuracy on its support in eval mode (0 to 1)."""

    model: torch.nn.Module
    epochs: int
    accuracy: float


def similarities(model, examples: Examples, forget: Examples) -> np.ndarray:
    """The similarity of each example to the forget set in the features of `model`, (n,)."""
    features = (outputs(model, part.images)[1].cpu().numpy() for part in (examples, forget))
    return to_forget_set(*features, scattered=len(forget.labels.unique()) > 1)


def frozen_mlp(model, classes: int, *, seed: int, hidden: int = 256) -> torch.nn.Module:
    """A copy of `model`, frozen, whose head is a fresh MLP: the teacher that fails (2605.31317, tables 4 and 5).

    The features were trained on the forget set and still know it. One hidden layer of 256, as in the released code.
    """
    teacher = copy.deepcopy(model).eval().requires_grad_(False)
    with networks.drawing(seeds.number(seed, "ltd teacher", "weights"), model.head.weight.dtype):
        layers = [torch.nn.Linear(model.head.in_features, hidden), torch.nn.ReLU(), torch.nn.Linear(hidden, classes)]
    teacher.head = torch.nn.Sequential(*layers)
    return teacher


def build_teacher(
    network: str, model: torch.nn.Module | None, support: Examples, classes: int, seed: int
) -> tuple[torch.nn.Module, torch.nn.Module, torch.Tensor]:
    """A teacher, the part of it that is trained, and what that part takes: images, or features computed once."""
    device = support.images.device
    if network == "frozen_mlp":
        teacher = frozen_mlp(model, classes, seed=seed).to(device)
        return teacher, teacher.head, outputs(teacher, support.images)[1]
    if network not in networks.known():
        known = ", ".join([*networks.known(), "frozen_mlp"])
        raise InputError(f"There is no teacher called {network!r}: choose one of {known}.")
    shape = {"channels": support.images.shape[1], "classes": classes, "dtype": networks.dtype_for(support.images)}
    teacher = networks.build(network, **shape, seed=seed, stage="ltd teacher").to(device)
    return teacher, teacher, support.images


def train_teacher(
    support: Examples,
    classes: int,
    *,
    seed: int,
    network: str = "resnet8",
    model: torch.nn.Module | None = None,
    lr: float = 0.2,
    epochs: int = 250,
    accuracy: float = 0.99,
    batch_size: int = 256,
    statistics: str = "recomputed",
    loop: Loop = Loop(),
) -> Teacher:
    """A teacher trained on the true labels of `support` until its accuracy there reaches `accuracy`.

    The accuracy is the running one of an epoch, in train mode; with `statistics` "recomputed" the one in eval mode
    with BatchNorm's statistics of the whole support must reach it too. network: one of lfcore/models/networks.py, or
    "frozen_mlp", which alone needs `model`, the one to unlearn from. Warns if it does not get there in `epochs`.
    """
    if statistics not in ("recomputed", "running"):
        raise InputError(f"A teacher's statistics can't be {statistics!r}: choose recomputed or running.")
    teacher, trained, inputs = build_teacher(network, model, support, classes, seed)
    correct, reached = torch.zeros(epochs, device=inputs.device), []

    def objective(logits, batch):
        labels = support.labels[batch.rows]
        correct[batch.epoch] += (logits.argmax(1) == labels).sum()
        return cross_entropy(logits, labels)

    def stop(epoch):
        known = bool(correct[epoch] >= accuracy * len(support))
        if known and (statistics == "running" or _in_eval_mode(trained, inputs, support, statistics) >= accuracy):
            reached.append(epoch + 1)
        return bool(reached)

    options = {"epochs": epochs, "batch_size": batch_size, "lr": lr, "weight_decay": 1e-4}
    options["generator"] = generator(seed, "ltd teacher", "batches")
    options["schedule"] = lambda done: 1.0 if done < 0.8 else 0.1
    fit(trained, inputs, objective, stop=stop, loop=loop.aside(), **options)
    known = _in_eval_mode(trained, inputs, support, statistics)
    if not reached:
        _warn(float(correct.max()) / len(support), known, accuracy, epochs)
    return Teacher(teacher.eval(), reached[0] if reached else epochs, known)


@torch.no_grad()
def _in_eval_mode(trained, inputs: torch.Tensor, support: Examples, statistics: str) -> float:
    """The accuracy (0 to 1) of `trained` on the support in eval mode, with the statistics that it will teach with."""
    if statistics == "recomputed":
        recompute_statistics(trained, inputs)
    with networks.evaluating(trained):
        return float((trained(inputs).argmax(1) == support.labels).double().mean())


def _warn(best: float, known: float, accuracy: float, epochs: int) -> None:
    message = f"The teacher's accuracy reached {best:.3f} in train mode and {known:.3f} in eval mode, not {accuracy}, "
    warnings.warn(f"{message}in {epochs} epochs: raise epochs.", stacklevel=3)


@torch.no_grad()
def teach(teachers: list[torch.nn.Module], images: torch.Tensor) -> torch.Tensor:
    """What teachers say of images, (n, classes): one's logits; of several the logarithm of their mean probability."""
    logits = [outputs(teacher, images)[0] for teacher in teachers]
    return logits[0] if len(logits) == 1 else torch.stack(logits).softmax(dim=2).mean(dim=0).log()


def notes(model, teachers: list[Teacher], logits, support: Examples, forget: Examples) -> dict[str, float]:
    """What LTD notes of its teachers, see there; means over several. logits: of `teach` on `forget`."""
    right = logits.argmax(dim=1) == forget.labels
    return {
        "teacher_accuracy": 100 * float(right.double().mean()),
        "teacher_support_accuracy": 100 * float(np.mean([teacher.accuracy for teacher in teachers])),
        "teacher_epochs": float(np.mean([teacher.epochs for teacher in teachers])),
        "support_affected": float(torch.isin(support.labels, forget.labels).double().mean()),
        "support_similarity": float(similarities(model, support, forget).min()),
    }

"""Local Teacher Distillation (LTD).

    minimise  (1/|B|) ( sum_{D_r in B} CE(y, f(x)) + beta sum_{D_f in B} CE(y^, f(x)) )
    y^ = softmax of the teacher's logits at temperature 1, its three largest entries, renormalised

The teacher is a small network trained from scratch on the true labels of the k retained examples most similar to the
forget set, and never on the forget set. Dolgova and Stich, 2605.31317, sec. 4, algorithm 1, app. B.2: AdamW, weight
decay 1e-6, 20 epochs, beta 2, k 1000 on CIFAR-100; teacher ResNet-8, SGD 0.2, weight decay 1e-4, tenfold less after
200 of at most 250 epochs, stopped at a running training accuracy of 0.99.

Targets are computed on the view of the image that the student sees. Features for the choice of the support are those
of un-augmented images, as in the paper's text; the released code takes them from an augmented view. Its `top5_renorm`
keeps three entries, as the text says, and its SGD branch passes the weight decay as momentum; here the student is
AdamW's. A forget set of several classes has no centre to be near to: there the support is near single forget images
(`geometry.similarity.to_forget_set`), for which the paper suggests their nearest neighbours, untested (app. B.1). Of a
whole class, the support holds none. Reads both sets. BatchNorm: student in train mode on mixed batches; teacher in eval
mode once trained.

Ablations: `support` is which k retained examples the teacher sees (table 3), `teacher` a network of models/networks.py
or "frozen_mlp" (tables 4 and 5), `teacher_accuracy` when it stops (figures 5 to 8).

Beside the student it returns, all about un-augmented images,
teacher_logits: the teacher's logits on D_f, (m, classes), float32.
notes: teacher_accuracy, the percentage of D_f that the teacher classifies as labelled; teacher_epochs, those it took;
support_affected, the share (0 to 1) of the support whose class is one of D_f's; support_similarity, the lowest
similarity to D_f in the support.
"""

import copy
import warnings

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from lfcore.core import seeds
from lfcore.core.errors import InputError
from lfcore.core.examples import Examples
from lfcore.core.seeds import generator
from lfcore.core.unlearned import Unlearned
from lfcore.geometry.similarity import nearest, to_forget_set
from lfcore.models import networks
from lfcore.models.predict import outputs
from lfcore.training.fit import Loop, fit

READS = {"forget", "retain"}


def similarities(model, examples: Examples, forget: Examples) -> np.ndarray:
    """The similarity of each example to the forget set in the features of `model`, (n,)."""
    features = (outputs(model, part.images)[1].cpu().numpy() for part in (examples, forget))
    return to_forget_set(*features, scattered=len(forget.labels.unique()) > 1)


def choose_support(
    model, retain: Examples, forget: Examples, k: int, *, support: str = "nearest", seed: int = 0
) -> Examples:
    """The k retained examples, in total, that the teacher sees.

    support: "nearest", those with the highest similarity to the forget set in the features of `model`, nearest first;
    "farthest", those with the lowest, farthest first; "random", a draw from `seed`.
    """
    if not 1 <= k <= len(retain):
        raise InputError(f"k = {k} support examples can't be chosen from {len(retain)} retained ones: lower k.")
    if support == "random":
        rows = torch.randperm(len(retain), generator=generator(seed, "ltd", "support"))[:k]
    elif support in ("nearest", "farthest"):
        sign = 1 if support == "nearest" else -1
        rows = torch.from_numpy(nearest(sign * similarities(model, retain, forget), k))
    else:
        raise InputError(f"There is no support called {support!r}: choose one of nearest, random, farthest.")
    return retain[rows.to(retain.labels.device)]


def frozen_mlp(model, classes: int, *, seed: int, hidden: int = 256) -> torch.nn.Module:
    """A copy of `model`, frozen, whose head is a fresh MLP: the teacher that fails (2605.31317, tables 4 and 5).

    The features were trained on the forget set and still know it. One hidden layer of 256, as in the released code.
    """
    teacher = copy.deepcopy(model).eval().requires_grad_(False)
    dtype = networks.dtype_for(model.head.weight)
    with networks.drawing(seeds.number(seed, "ltd teacher", "weights"), dtype):
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
    loop: Loop = Loop(),
) -> tuple[torch.nn.Module, int]:
    """A teacher trained on the true labels of `support` until its running accuracy over an epoch reaches `accuracy`.

    network: one of lfcore/models/networks.py, or "frozen_mlp", which alone needs `model`, the one to unlearn from.
    Returns the teacher and how many epochs it took. Warns if it has not reached `accuracy` after `epochs`.
    """
    teacher, trained, inputs = build_teacher(network, model, support, classes, seed)
    correct = torch.zeros(epochs, device=inputs.device)

    def objective(logits, batch):
        labels = support.labels[batch.rows]
        correct[batch.epoch] += (logits.argmax(1) == labels).sum()
        return cross_entropy(logits, labels)

    fit(
        trained,
        inputs,
        objective,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=1e-4,
        schedule=lambda done: 1.0 if done < 0.8 else 0.1,
        stop=lambda epoch: bool(correct[epoch] >= accuracy * len(support)),
        generator=generator(seed, "ltd teacher", "batches"),
        loop=loop.aside(),
    )
    reached = (correct >= accuracy * len(support)).nonzero()
    if len(reached):
        return teacher, int(reached[0]) + 1
    best = float(correct.max()) / len(support)
    message = f"The teacher's accuracy reached {best:.3f} and not {accuracy} in {epochs} epochs: raise epochs."
    warnings.warn(message, stacklevel=2)
    return teacher, epochs


@torch.no_grad()
def soften(logits: torch.Tensor, top: int = 3) -> torch.Tensor:
    """Softmax of logits (n, classes) with all but the `top` largest entries set to 0, renormalised to sum to 1."""
    probabilities = logits.softmax(dim=1)
    values, places = probabilities.topk(min(top, logits.shape[1]), dim=1)
    return torch.zeros_like(probabilities).scatter(1, places, values / values.sum(dim=1, keepdim=True))


def fit_targets(
    model, targets, retain: Examples, forget: Examples, *, stage: str, seed: int, beta: float, **training
) -> torch.nn.Module:
    """The student: a copy of `model` fitted to true labels on `retain` and to soft targets on `forget`.

    targets: a function of images of forget examples, as the student sees them, and of their rows in `forget`, both
    of length m, that returns (m, classes). training: options of `fit`.
    """
    labels = torch.cat([forget.labels, retain.labels])

    def objective(logits, batch):
        is_forget = batch.rows < len(forget)
        on_retain = cross_entropy(logits[~is_forget], labels[batch.rows][~is_forget], reduction="sum")
        with torch.no_grad():
            wanted = targets(batch.images[is_forget], batch.rows[is_forget])
        on_forget = cross_entropy(logits[is_forget], wanted, reduction="sum")
        return (on_retain + beta * on_forget) / len(batch.rows)

    return fit(
        copy.deepcopy(model),
        torch.cat([forget.images, retain.images]),
        objective,
        optimizer="adamw",
        generator=generator(seed, stage, "batches"),
        **training,
    )


def distil(model, teacher, retain: Examples, forget: Examples, *, top, **options):
    """The student of `fit_targets` whose targets are the teacher's."""
    return fit_targets(model, lambda images, rows: soften(teacher(images), top), retain, forget, stage="ltd", **options)


def notes(model, teacher, epochs: int, support: Examples, forget: Examples) -> dict[str, float]:
    """The notes of a teacher that took so many epochs, see above."""
    right = outputs(teacher, forget.images)[0].argmax(dim=1) == forget.labels
    return {
        "teacher_accuracy": 100 * float(right.double().mean()),
        "teacher_epochs": float(epochs),
        "support_affected": float(torch.isin(support.labels, forget.labels).double().mean()),
        "support_similarity": float(similarities(model, support, forget).min()),
    }


def unlearn(
    model,
    retain,
    forget,
    *,
    seed,
    loop=Loop(),
    k=1000,
    lr=1e-4,
    beta=2.0,
    epochs=20,
    batch_size=256,
    weight_decay=1e-6,
    top=3,
    support="nearest",
    teacher="resnet8",
    teacher_lr=0.2,
    teacher_epochs=250,
    teacher_accuracy=0.99,
):
    """Return the student after `epochs`. Raises Diverged, and InputError for an impossible k, support or teacher."""
    return from_support(
        model,
        choose_support(model, retain, forget, k, support=support, seed=seed),
        retain,
        forget,
        seed=seed,
        loop=loop,
        teacher={"network": teacher, "lr": teacher_lr, "epochs": teacher_epochs, "accuracy": teacher_accuracy},
        student={"lr": lr, "beta": beta, "epochs": epochs, "weight_decay": weight_decay, "top": top},
        batch_size=batch_size,
    )


def from_support(model, support, retain, forget, *, teacher: dict, student: dict, **common) -> Unlearned:
    """The student of a teacher that learns from the examples `support`.

    teacher, student: options of `train_teacher` and of `distil`; common: those of both, seed, batch_size and loop.
    """
    trained, epochs = train_teacher(support, model.head.out_features, model=model, **teacher, **common)
    unlearned = distil(model, trained, retain, forget, **student, **common)
    logits = outputs(trained, forget.images)[0].float().cpu().numpy()
    return Unlearned(unlearned, notes(model, trained, epochs, support, forget), logits)

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
AdamW's. Reads both sets. BatchNorm: student in train mode on mixed batches; teacher in eval mode once trained.
"""

import copy
import warnings

import torch
from torch.nn.functional import cross_entropy

from lfcore import models
from lfcore.errors import InputError
from lfcore.predict import outputs
from lfcore.seeds import generator
from lfcore.similarity import nearest, similarity
from lfcore.train import Examples, fit

READS = {"forget", "retain"}


def choose_support(model, retain: Examples, forget: Examples, k: int) -> Examples:
    """The k retained examples, in total, with the highest similarity to the forget set in the features of `model`."""
    if not 1 <= k <= len(retain):
        raise InputError(f"k = {k} support examples can't be chosen from {len(retain)} retained ones: lower k.")
    features = [outputs(model, examples.images)[1].cpu().numpy() for examples in (retain, forget)]
    rows = torch.from_numpy(nearest(similarity(*features), k)).to(retain.labels.device)
    return Examples(retain.images[rows], retain.labels[rows])


def train_teacher(
    support: Examples,
    classes: int,
    *,
    seed: int,
    network: str = "resnet8",
    lr: float = 0.2,
    epochs: int = 250,
    accuracy: float = 0.99,
    batch_size: int = 256,
) -> torch.nn.Module:
    """A teacher trained on the true labels of `support` until its running accuracy over an epoch reaches `accuracy`.

    Warns if it has not after `epochs`.
    """
    channels = support.images.shape[1]
    teacher = models.build(network, channels, classes, seed=seed, stage="ltd teacher").to(support.images.device)
    correct = torch.zeros(epochs, device=support.labels.device)

    def objective(logits, batch):
        labels = support.labels[batch.rows]
        correct[batch.epoch] += (logits.argmax(1) == labels).sum()
        return cross_entropy(logits, labels)

    fit(
        teacher,
        support.images,
        objective,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=1e-4,
        schedule=lambda done: 1.0 if done < 0.8 else 0.1,
        stop=lambda epoch: bool(correct[epoch] >= accuracy * len(support)),
        generator=generator(seed, "ltd teacher", "batches"),
    )
    best = float(correct.max()) / len(support)
    if best < accuracy:
        warnings.warn(
            f"The teacher's accuracy reached {best:.3f} and not {accuracy} in {epochs} epochs: raise epochs.",
            stacklevel=2,
        )
    return teacher


@torch.no_grad()
def soften(logits: torch.Tensor, top: int = 3) -> torch.Tensor:
    """Softmax of logits (n, classes) with all but the `top` largest entries set to 0, renormalised to sum to 1."""
    probabilities = logits.softmax(dim=1)
    values, places = probabilities.topk(min(top, logits.shape[1]), dim=1)
    return torch.zeros_like(probabilities).scatter(1, places, values / values.sum(dim=1, keepdim=True))


def distil(
    model, teacher, retain: Examples, forget: Examples, *, seed, lr, beta, epochs, batch_size, weight_decay, top
):
    """The student: a copy of `model` fitted to true labels on `retain` and to the teacher's targets on `forget`."""
    labels = torch.cat([forget.labels, retain.labels])

    def objective(logits, batch):
        is_forget = batch.rows < len(forget)
        on_retain = cross_entropy(logits[~is_forget], labels[batch.rows][~is_forget], reduction="sum")
        targets = soften(teacher(batch.images[is_forget]), top)
        on_forget = cross_entropy(logits[is_forget], targets, reduction="sum")
        return (on_retain + beta * on_forget) / len(batch.rows)

    return fit(
        copy.deepcopy(model),
        torch.cat([forget.images, retain.images]),
        objective,
        optimizer="adamw",
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        generator=generator(seed, "ltd", "batches"),
    )


def unlearn(
    model,
    retain,
    forget,
    *,
    seed,
    k=1000,
    lr=1e-4,
    beta=2.0,
    epochs=20,
    batch_size=256,
    weight_decay=1e-6,
    top=3,
    teacher="resnet8",
    teacher_lr=0.2,
    teacher_epochs=250,
    teacher_accuracy=0.99,
):
    """Return the student after `epochs`. Raises Diverged, and InputError if k is not in [1, len(retain)]."""
    support = choose_support(model, retain, forget, k)
    trained = train_teacher(
        support,
        model.head.out_features,
        seed=seed,
        network=teacher,
        lr=teacher_lr,
        epochs=teacher_epochs,
        accuracy=teacher_accuracy,
        batch_size=batch_size,
    )
    return distil(
        model,
        trained,
        retain,
        forget,
        seed=seed,
        lr=lr,
        beta=beta,
        epochs=epochs,
        batch_size=batch_size,
        weight_decay=weight_decay,
        top=top,
    )

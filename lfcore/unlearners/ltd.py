"""Local Teacher Distillation (LTD).

    minimise  (1/|B|) ( sum_{D_r in B} CE(y, f(x)) + beta sum_{D_f in B} CE(y^, f(x)) )
    y^ = softmax of the teacher's logits at temperature 1, its three largest entries, renormalised

The teacher is a small network trained from scratch on the true labels of the k retained examples most similar to the
forget set, and never on the forget set. Dolgova and Stich, 2605.31317, sec. 4, algorithm 1, app. B.2: AdamW, weight
decay 1e-6, 20 epochs, beta 2, k 1000 on CIFAR-100; teacher: `_teacher.py`.

Targets are computed on the view of the image that the student sees. Features for the choice of the support are those
of un-augmented images, as in the paper's text; the released code takes them from an augmented view. Its `top5_renorm`
keeps three entries, as the text says, and its SGD branch passes the weight decay as momentum; here the student is
AdamW's. A forget set of several classes has no centre to be near to: there the support is near single forget images
(`geometry.similarity.to_forget_set`), for which the paper suggests their nearest neighbours, untested (app. B.1). Of a
whole class, the support holds none. Reads both sets. BatchNorm: student in train mode on mixed batches; teacher in eval
mode once trained, with the statistics of its whole support. `teacher_statistics` "running" leaves it the running ones,
as the released code does; a teacher of few steps lags behind them. `teachers` above 1, several whose probabilities are
averaged, is ours, and was found after seeing results on digits' classes 4 and 9.

Ablations: `support` is which k retained examples the teacher sees (table 3), `teacher` a network of models/networks.py
or "frozen_mlp" (tables 4 and 5), `teacher_accuracy` when it stops (figures 5 to 8).

Beside the student it returns, all about un-augmented images,
teacher_logits: the teacher's logits on D_f, (m, classes), float32.
notes: teacher_accuracy, the percentage of D_f that the teacher classifies as labelled; teacher_support_accuracy, that
of its support, in eval mode; teacher_epochs, those it took; support_affected, the share (0 to 1) of the support whose
class is one of D_f's; support_similarity, the lowest similarity to D_f in the support.
"""

import copy

import torch
from torch.nn.functional import cross_entropy

from lfcore.core import seeds
from lfcore.core.errors import InputError
from lfcore.core.examples import Examples
from lfcore.core.seeds import generator
from lfcore.core.unlearned import Unlearned
from lfcore.geometry.similarity import nearest
from lfcore.training.fit import Loop, fit
from lfcore.unlearners._teacher import notes, similarities, teach, train_teacher

READS = {"forget", "retain"}


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


def distil(model, teachers: list, retain: Examples, forget: Examples, *, top: int, loop: Loop = Loop(), **options):
    """The student of `fit_targets` whose targets are the teachers'; computed once where each view is the image."""
    fixed = soften(teach(teachers, forget.images), top) if loop.augment == "none" else None

    def targets(images, rows):
        return soften(teach(teachers, images), top) if fixed is None else fixed[rows]

    return fit_targets(model, targets, retain, forget, stage="ltd", loop=loop, **options)


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
    teachers=1,
    teacher_lr=0.2,
    teacher_epochs=250,
    teacher_accuracy=0.99,
    teacher_batch_size=256,
    teacher_statistics="recomputed",
):
    """Return the student after `epochs`. Raises Diverged, and InputError for an impossible k, support or teacher."""
    return from_support(
        model,
        choose_support(model, retain, forget, k, support=support, seed=seed),
        retain,
        forget,
        seed=seed,
        loop=loop,
        teachers=teachers,
        teacher={
            "network": teacher,
            "lr": teacher_lr,
            "epochs": teacher_epochs,
            "accuracy": teacher_accuracy,
            "batch_size": teacher_batch_size,
            "statistics": teacher_statistics,
        },
        student={"lr": lr, "beta": beta, "epochs": epochs, "batch_size": batch_size, "weight_decay": weight_decay},
        top=top,
    )


def from_support(
    model, support, retain, forget, *, seed: int, loop: Loop, teacher: dict, student: dict, top: int, teachers: int = 1
) -> Unlearned:
    """The student of `teachers` teachers that learn from the examples `support`, each from a stream of its own.

    teacher, student: options of `train_teacher` and of `fit_targets`.
    """
    if teachers < 1:
        raise InputError(f"LTD needs a teacher: set teachers to 1 or more, not {teachers}.")
    streams = [seed, *(seeds.number(seed, "ltd teacher", str(place)) for place in range(1, teachers))]
    trained = [
        train_teacher(support, model.head.out_features, model=model, seed=stream, loop=loop, **teacher)
        for stream in streams
    ]
    unlearned = distil(
        model, [each.model for each in trained], retain, forget, top=top, seed=seed, loop=loop, **student
    )
    logits = teach([each.model for each in trained], forget.images)
    return Unlearned(unlearned, notes(model, trained, logits, support, forget), logits.float().cpu().numpy())

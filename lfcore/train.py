"""The training loop that every stage and every unlearner shares, and the stage that trains originals and retrained."""

import contextlib
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy

from lfcore import checkpoint, data, models, predict
from lfcore.errors import Diverged, InputError
from lfcore.seeds import generator as stream
from lfcore.seeds import make_deterministic


@dataclass(frozen=True)
class Examples:
    """Images (n, c, h, w) and labels (n,), on one device."""

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __add__(self, other: "Examples") -> "Examples":
        return Examples(torch.cat([self.images, other.images]), torch.cat([self.labels, other.labels]))


@dataclass(frozen=True)
class Batch:
    """What an objective sees beside the logits: the images as the network saw them, their rows, the epoch from 0."""

    images: torch.Tensor
    rows: torch.Tensor
    epoch: int


def choose(dataset: data.Data, rows, device: str) -> Examples:
    """The examples in these rows of the data set, as tensors on `device`."""
    return Examples(
        torch.from_numpy(dataset.images[rows]).to(device), torch.from_numpy(dataset.labels[rows]).to(device)
    )


def batches(n: int, batch_size: int, generator: torch.Generator) -> tuple[torch.Tensor, ...]:
    """Shuffled row numbers in batches; a last batch of one joins the one before, since BatchNorm can't train on it."""
    rows = torch.randperm(n, generator=generator)
    ends = list(range(batch_size, n, batch_size))
    if ends and n - ends[-1] == 1:
        ends.pop()
    return torch.tensor_split(rows, ends)


def cycle(n: int, batch_size: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    """`batches` without end: a new shuffle whenever the last is used up."""
    while True:
        yield from batches(n, batch_size, generator)


@dataclass
class Steps:
    """Optimizer steps that `fit` takes within a block of `counting`.

    limit: after so many, every `fit` in the block ends. aside: steps of blocks within, such as those of a teacher.
    """

    limit: int | None = None
    taken: int = 0
    aside: int = 0

    @property
    def spent(self) -> bool:
        """Whether the limit is reached."""
        return self.limit is not None and self.taken >= self.limit


_steps: ContextVar[Steps | None] = ContextVar("steps", default=None)


@contextlib.contextmanager
def counting(limit: int | None = None) -> Iterator[Steps]:
    """Count the steps of every `fit` in the block, whatever method calls it, and let it take `limit` at most."""
    outer, steps = _steps.get(), Steps(limit)
    token = _steps.set(steps)
    try:
        yield steps
    finally:
        _steps.reset(token)
        if outer is not None:
            outer.aside += steps.taken + steps.aside


def constant(done: float) -> float:
    """A learning-rate schedule: always 1, whatever share of the steps is done."""
    return 1.0


def linear(done: float) -> float:
    """A learning-rate schedule: from 1 at the first step down to 0 after the last."""
    return 1.0 - done


def fit(
    model: torch.nn.Module,
    images: torch.Tensor,
    objective: Callable[[torch.Tensor, Batch], torch.Tensor],
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    generator: torch.Generator,
    optimizer: str = "sgd",
    momentum: float = 0.9,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    schedule: Callable[[float], float] = constant,
    batchnorm: str = "train",
    stop: Callable[[int], bool] = lambda epoch: False,
    after_step: Callable[[], None] = lambda: None,
) -> torch.nn.Module:
    """Train `model` in place on `objective(logits, batch)` and return it, in eval mode.

    images: (n, c, h, w). optimizer: "sgd" (with `momentum`, `nesterov`) or "adamw".
    batchnorm: "train" normalises by the batch and moves the running statistics; "frozen" keeps and uses the running
    statistics (weights and biases of BatchNorm still learn).
    stop: called with the epoch's number, from 0, after each; True ends the training.
    after_step: called after each step.
    Within a block of `counting` the steps are counted, and no more than its limit are taken.

    Raises Diverged if a loss or a weight is not finite, InputError for an unknown optimizer or batchnorm.
    """
    if optimizer not in ("sgd", "adamw"):
        raise InputError(f"There is no optimizer called {optimizer!r}: choose sgd or adamw.")
    if batchnorm not in ("train", "frozen"):
        raise InputError(f"BatchNorm can't be {batchnorm!r}: choose train or frozen.")
    if len(images) == 0:
        raise InputError("There are no examples to train on: give at least one.")
    if optimizer == "sgd":
        descent = torch.optim.SGD(
            model.parameters(), lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay
        )
    else:
        descent = torch.optim.AdamW(model.parameters(), lr, weight_decay=weight_decay)
    model.train()
    if batchnorm == "frozen":
        for layer in models.batchnorms(model):
            layer.eval()
    steps = _steps.get() or Steps()
    for epoch in range(epochs):
        total = torch.zeros((), device=images.device)
        order = batches(len(images), batch_size, generator)
        for step, rows in enumerate(order):
            if steps.spent:
                break
            rows = rows.to(images.device)
            for group in descent.param_groups:
                group["lr"] = lr * schedule((epoch + step / len(order)) / epochs)
            batch = Batch(images[rows], rows, epoch)
            loss = objective(model(batch.images), batch)
            descent.zero_grad()
            loss.backward()
            descent.step()
            after_step()
            steps.taken += 1
            total += loss.detach()
        finite = [torch.isfinite(tensor).all() for tensor in (total, *model.parameters())]
        if not torch.stack(finite).all():
            raise Diverged(f"The loss or a weight was not finite after epoch {epoch + 1} of {epochs}: lower lr ({lr}).")
        if steps.spent or stop(epoch):
            break
    return model.eval()


def train(
    *,
    dataset: str | Path,
    forget_set: str | Path | None,
    network: str,
    role: str,
    seeds: list[int],
    options: dict,
    device: str,
    out: str | Path,
) -> list[dict]:
    """Train one model a seed by the same rule and write a checkpoint and predictions for each.

    role "original" trains on all train rows; "retrained" on the rows that the index file `forget_set` retains.
    options: epochs, batch_size, lr, momentum, weight_decay of the recipe (SGD, Nesterov, linear decay; last epoch).
    Returns one record a seed: seed, train and test accuracy in percent.
    """
    make_deterministic(device)
    everything = data.read(dataset)
    removed = data.read_forget(forget_set, everything) if forget_set else None
    stage = f"{role} {removed.name}" if removed else role
    rows = removed.retain if removed else everything.train
    examples = choose(everything, rows, device)
    channels = everything.images.shape[1]
    fingerprint = everything.sha256()
    records = []
    for seed in seeds:
        start, used = time.perf_counter(), time.process_time()
        model = models.build(network, channels, everything.classes, seed=seed, stage=stage).to(device)
        with counting() as steps:
            fit(
                model,
                examples.images,
                lambda logits, batch: cross_entropy(logits, examples.labels[batch.rows]),
                generator=stream(seed, stage, "batches"),
                nesterov=True,
                schedule=linear,
                **options,
            )
        facts = {"network": network, "role": stage, "seed": seed, "options": options, "data": fingerprint}
        facts |= {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - used}
        predictions = predict.predict(model, everything.images, device)
        checkpoint.write(out, seed, model, predictions, {**facts, "steps": steps.taken})
        records.append({"seed": seed, **predict.accuracies(predictions, everything, {"train": rows})})
    return records

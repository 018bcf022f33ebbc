"""The training loop that every stage and every unlearner shares."""

import contextlib
import math
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import NamedTuple

import torch

from lfcore.core.errors import Diverged, InputError
from lfcore.core.examples import pixels
from lfcore.models.networks import batchnorms
from lfcore.training import augmentation
from lfcore.training.optimizers import Descent


class Batch(NamedTuple):
    """What an objective sees beside the logits: the images as the network saw them, their rows, the epoch from 0."""

    images: torch.Tensor
    rows: torch.Tensor
    epoch: int


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


def cosine(done: float) -> float:
    """A learning-rate schedule: half a cosine, from 1 at the first step down to 0 after the last."""
    return (1 + math.cos(math.pi * done)) / 2


def by_epoch(epochs: int) -> Callable[[float], float]:
    """The schedule `cosine` with one rate for each of `epochs`."""
    return lambda done: cosine(int(done * epochs + 1e-9) / epochs)  # done * epochs may be rounded below a whole number


SCHEDULES = {"constant": constant, "linear": linear, "cosine": cosine}


@dataclass(frozen=True)
class Loop:
    """How `fit` runs within a block of `looping`, whatever method calls it.

    augment: "none", or "crop_flip" for images moved by up to augment.MARGIN pixels each way and mirrored by chance.
    precision: "fp32", or "bf16" for the passes that `fit` makes, under autocast; losses and weights stay float32, and
    so do passes that a method makes beside, which see images as they are.
    channels_last: whether images and weights lie in memory pixel by pixel, which is faster; values are the same.
    """

    augment: str = "none"
    precision: str = "fp32"
    channels_last: bool = False

    def __post_init__(self):
        if self.augment not in ("none", "crop_flip"):
            raise InputError(f"Images can't be augmented by {self.augment!r}: choose none or crop_flip.")
        if self.precision not in ("fp32", "bf16"):
            raise InputError(f"There is no precision called {self.precision!r}: choose fp32 or bf16.")

    @property
    def layout(self) -> torch.memory_format:
        """The memory format of images and weights."""
        return torch.channels_last if self.channels_last else torch.contiguous_format


_loop: ContextVar[Loop] = ContextVar("loop", default=Loop())  # noqa: B039  frozen


@contextlib.contextmanager
def looping(**options) -> Iterator[Loop]:
    """Let every `fit` in the block run as the options of `Loop` say. Raises InputError for a wrong value."""
    loop = Loop(**options)
    token = _loop.set(loop)
    try:
        yield loop
    finally:
        _loop.reset(token)


def _check_options(n: int, optimizer: str, batchnorm: str, *rates: float) -> None:
    """Raise InputError unless `fit` can work with these."""
    if optimizer not in ("sgd", "adamw"):
        raise InputError(f"There is no optimizer called {optimizer!r}: choose sgd or adamw.")
    if min(rates) < 0:
        raise InputError("lr, momentum and weight_decay can't be negative: give zero or more.")
    if batchnorm not in ("train", "frozen"):
        raise InputError(f"BatchNorm can't be {batchnorm!r}: choose train or frozen.")
    if n == 0:
        raise InputError("There are no examples to train on: give at least one.")


class _Step:
    """One optimizer step of `fit`, called with the rows and views of a batch and the epoch.

    total: the sum of the losses since it was last set to zero.
    """

    def __init__(self, model, images: torch.Tensor, objective: Callable, descent, after: Callable, loop: Loop):
        self.model, self.objective, self.descent, self.after = model, objective, descent, after
        is_image = images.ndim == 4
        self.layout = loop.layout if is_image else torch.contiguous_format
        self.augmented = is_image and loop.augment == "crop_flip"
        self.half = loop.precision == "bf16"
        self.stored = augmentation.padded(images) if self.augmented else images
        self.total = torch.zeros((), device=images.device)

    def plan(self, order: tuple[torch.Tensor, ...], generator: torch.Generator) -> tuple[torch.Tensor, ...]:
        """What each step of an epoch is given, on the device: the rows of its batch, and below them their views."""
        rows = torch.cat(order)
        views = augmentation.draw_views(len(rows), generator) if self.augmented else rows.new_empty(0, len(rows))
        return torch.cat([rows[None], views]).to(self.stored.device).split([len(batch) for batch in order], dim=1)

    def __call__(self, given: torch.Tensor, epoch: int) -> None:
        """Take the step."""
        seen = pixels(augmentation.crop_flip(self.stored, *given) if self.augmented else self.stored[given[0]])
        batch = Batch(seen.contiguous(memory_format=self.layout), given[0], epoch)
        kind = self.stored.device.type
        with torch.autocast(kind, torch.bfloat16, cache_enabled=False) if self.half else contextlib.nullcontext():
            outputs = self.model(batch.images)
        outputs = tuple(part.float() for part in outputs) if isinstance(outputs, tuple) else outputs.float()
        loss = self.objective(outputs, batch)
        self.descent.zero_grad()
        loss.backward()
        self.descent.step()
        self.after()
        self.total.add_(loss.detach())

    def check(self, where: str, lr: float) -> None:
        """Raise Diverged if a loss or a weight is not finite."""
        finite = [torch.isfinite(tensor).all() for tensor in (self.total, *self.model.parameters())]
        if not torch.stack(finite).all():
            raise Diverged(f"The loss or a weight was not finite {where}: lower lr ({lr}).")


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

    images: (n, c, h, w), in [0, 1] or uint8; `batch.images` are in [0, 1].
    optimizer: "sgd" (with `momentum`, `nesterov`) or "adamw".
    batchnorm: "train" normalises by the batch and moves the running statistics; "frozen" keeps and uses the running
    statistics (weights and biases of BatchNorm still learn).
    stop: called with the epoch's number, from 0, after each; True ends the training.
    after_step: called after each step.
    Within a block of `counting` the steps are counted, and no more than its limit are taken. `looping` says how.

    Raises Diverged if a loss or a weight is not finite, InputError for an unknown optimizer or batchnorm.
    """
    _check_options(len(images), optimizer, batchnorm, lr, momentum, weight_decay)
    loop = _loop.get()
    if loop.channels_last:
        model.to(memory_format=torch.channels_last)
    descent = Descent(
        model.parameters(), lr, optimizer=optimizer, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay
    )
    model.train()
    if batchnorm == "frozen":
        for layer in batchnorms(model):
            layer.eval()
    step = _Step(model, images, objective, descent, after_step, loop)
    steps = _steps.get() or Steps()
    for epoch in range(epochs):
        step.total.zero_()
        plan = step.plan(batches(len(images), batch_size, generator), generator)
        for place, given in enumerate(plan):
            if steps.spent:
                break
            descent.lr = lr * schedule((epoch + place / len(plan)) / epochs)
            step(given, epoch)
            steps.taken += 1
        step.check(f"after epoch {epoch + 1} of {epochs}", lr)
        if steps.spent or stop(epoch):
            break
    if loop.channels_last:
        model.to(memory_format=torch.contiguous_format)
    return model.eval()

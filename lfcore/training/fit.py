"""The training loop that every stage and every unlearner shares."""

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch

from lfcore.core.errors import Diverged, InputError
from lfcore.core.examples import pixels
from lfcore.models.networks import batchnorms
from lfcore.training import augmentation
from lfcore.training.optimizers import Descent


@dataclass
class Steps:
    """A count of the optimizer steps that `fit` takes, in every call that is given it by its `Loop`.

    limit: after so many, `fit` takes no more. parts: counts of steps that are not the method's own, as of a teacher.
    """

    limit: int | None = None
    taken: int = 0
    parts: list["Steps"] = field(default_factory=list)

    @property
    def spent(self) -> bool:
        """Whether the limit is reached."""
        return self.limit is not None and self.taken >= self.limit

    @property
    def aside(self) -> int:
        """How many steps were taken in `parts`."""
        return sum(part.taken + part.aside for part in self.parts)


@dataclass(frozen=True)
class Loop:
    """How `fit` runs. A method passes the one that it is given on to every `fit`.

    augment: "none", or "crop_flip" for images moved by up to augment.MARGIN pixels each way and mirrored by chance.
    precision: "full", that of the weights, or "bf16" for the passes that `fit` makes, under autocast; losses and
    weights stay float32, and so do passes that a method makes beside, which see images as they are.
    channels_last: whether images and weights lie in memory pixel by pixel, which is faster; values are the same.
    steps: what counts the steps, and limits them; None for neither. Raises InputError for a wrong value.
    """

    augment: str = "none"
    precision: str = "full"
    channels_last: bool = False
    steps: Steps | None = None

    def __post_init__(self):
        if self.augment not in ("none", "crop_flip"):
            raise InputError(f"Images can't be augmented by {self.augment!r}: choose none or crop_flip.")
        if self.precision not in ("full", "bf16"):
            raise InputError(f"There is no precision called {self.precision!r}: choose full or bf16.")

    @property
    def layout(self) -> torch.memory_format:
        """The memory format of images and weights."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def aside(self) -> "Loop":
        """The same for training that is not the method's own, as a teacher's: its steps count apart, without limit."""
        steps = Steps()
        if self.steps:
            self.steps.parts.append(steps)
        return replace(self, steps=steps)


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


class _Views:
    """The training images, batch by batch, as the network sees them."""

    def __init__(self, images: torch.Tensor, loop: Loop):
        if len(images) == 0:
            raise InputError("There are no examples to train on: give at least one.")
        is_image = images.ndim == 4
        self.layout = loop.layout if is_image else torch.contiguous_format
        self.augmented = is_image and loop.augment == "crop_flip"
        self.images = augmentation.padded(images) if self.augmented else images

    def batches(self, order: tuple[torch.Tensor, ...], epoch: int, generator: torch.Generator) -> Iterator[Batch]:
        """The batches of an epoch. order: the rows of each."""
        rows = torch.cat(order)
        views = augmentation.draw_views(len(rows), generator) if self.augmented else rows.new_empty(0, len(rows))
        plan = torch.cat([rows[None], views]).to(self.images.device)
        for rows, *views in plan.split([len(part) for part in order], dim=1):
            seen = augmentation.crop_flip(self.images, rows, *views) if views else self.images[rows]
            yield Batch(pixels(seen).contiguous(memory_format=self.layout), rows, epoch)


@contextlib.contextmanager
def _training(model: torch.nn.Module, batchnorm: str, loop: Loop) -> Iterator[None]:
    """Put the model in train mode within the block, with BatchNorm as `fit` says, and in eval mode afterwards."""
    if batchnorm not in ("train", "frozen"):
        raise InputError(f"BatchNorm can't be {batchnorm!r}: choose train or frozen.")
    if loop.channels_last:
        model.to(memory_format=torch.channels_last)
    model.train()
    if batchnorm == "frozen":
        for layer in batchnorms(model):
            layer.eval()
    yield
    if loop.channels_last:
        model.to(memory_format=torch.contiguous_format)
    model.eval()


def _forward(model: torch.nn.Module, images: torch.Tensor, precision: str):
    """The model's outputs, a tensor or a tuple; those of a pass in bf16 in float32."""
    if precision != "bf16":
        return model(images)
    with torch.autocast(images.device.type, torch.bfloat16):
        outputs = model(images)
    return tuple(part.float() for part in outputs) if isinstance(outputs, tuple) else outputs.float()


def _check_finite(model: torch.nn.Module, loss: torch.Tensor, where: str) -> None:
    finite = [torch.isfinite(tensor).all() for tensor in (loss, *model.parameters())]
    if not torch.stack(finite).all():
        raise Diverged(f"The loss or a weight was not finite {where}.")


def fit(
    model: torch.nn.Module,
    images: torch.Tensor,
    objective: Callable[[torch.Tensor, Batch], torch.Tensor],
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    generator: torch.Generator,
    schedule: Callable[[float], float] = constant,
    batchnorm: str = "train",
    stop: Callable[[int], bool] = lambda epoch: False,
    after_step: Callable[[], None] = lambda: None,
    loop: Loop = Loop(),
    descent: Descent | None = None,
    **options,
) -> torch.nn.Module:
    """Train `model` in place on `objective(logits, batch)` and return it, in eval mode.

    images: (n, c, h, w), in [0, 1] or uint8; `batch.images` are in [0, 1].
    batchnorm: "train" normalises by the batch and moves the running statistics; "frozen" keeps and uses the running
    statistics (weights and biases of BatchNorm still learn).
    stop: called with the epoch's number, from 0, after each; True ends the training.
    after_step: called after each step, which `loop.steps` has counted then.
    descent: one of an earlier call, to go on with. options: else, those of a new one: optimizer, weight_decay ...

    Raises Diverged if a loss or a weight is not finite, InputError for an unknown optimizer or batchnorm.
    """
    views, steps = _Views(images, loop), loop.steps or Steps()
    descent = descent or Descent(model.parameters(), lr, **options)
    with _training(model, batchnorm, loop):
        for epoch in range(epochs):
            total = torch.zeros((), device=images.device)
            order = batches(len(images), batch_size, generator)
            for place, batch in enumerate(views.batches(order, epoch, generator)):
                if steps.spent:
                    break
                descent.lr = lr * schedule((epoch + place / len(order)) / epochs)
                loss = objective(_forward(model, batch.images, loop.precision), batch)
                descent.zero_grad()
                loss.backward()
                descent.step()
                steps.taken += 1
                after_step()
                total += loss.detach()
            _check_finite(model, total, f"after epoch {epoch + 1} of {epochs}: lower lr ({lr})")
            if steps.spent or stop(epoch):
                break
    return model

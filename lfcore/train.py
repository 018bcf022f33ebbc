"""The training loop that every stage and every unlearner shares, and the stage that trains originals and retrained."""

import contextlib
import functools
import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy, pad

from lfcore import checkpoint, data, models, predict
from lfcore.descent import Descent, FusedDescent
from lfcore.errors import Diverged, InputError
from lfcore.seeds import generator as stream
from lfcore.seeds import make_deterministic


@dataclass(frozen=True)
class Examples:
    """Images (n, c, h, w), in [0, 1] or uint8, and labels (n,), on one device."""

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __add__(self, other: "Examples") -> "Examples":
        pair = (self.images, other.images)
        if pair[0].dtype != pair[1].dtype:
            pair = [models.pixels(images) for images in pair]
        return Examples(torch.cat([*pair]), torch.cat([self.labels, other.labels]))


def in_pixels(examples: Examples) -> Examples:
    """The same examples with images in [0, 1], for arithmetic with pixels."""
    return Examples(models.pixels(examples.images), examples.labels)


class Batch:
    """What an objective sees beside the logits: the images as the network saw them, their rows, the epoch from 0.

    dated: whether anything has looked at the epoch.
    """

    def __init__(self, images: torch.Tensor, rows: torch.Tensor, epoch: int):
        self.images, self.rows, self._epoch, self.dated = images, rows, epoch, False

    @property
    def epoch(self) -> int:
        """The number of the epoch, from 0."""
        self.dated = True
        return self._epoch


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

    augment: "none", or "crop_flip" for images moved by up to MARGIN pixels each way and mirrored by chance.
    precision: "fp32", or "bf16" for the passes that `fit` makes, under autocast; losses and weights stay float32, and
    so do passes that a method makes beside, which see images as they are.
    channels_last: whether images and weights lie in memory pixel by pixel, which is faster; values are the same.
    capture: whether a GPU may replay a step as one CUDA graph; on the CPU it means nothing.
    """

    augment: str = "none"
    precision: str = "fp32"
    channels_last: bool = False
    capture: bool = True

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


MARGIN = 4
"""Pixels that a crop moves at most, as in 2605.31317's code: RandomCrop(32, padding=4)."""


def draw_views(n: int, generator: torch.Generator) -> torch.Tensor:
    """For each of n images how far down and across to crop, 0 to 2 MARGIN, and whether to mirror it: (3, n) int64."""
    shifts = torch.randint(2 * MARGIN + 1, (2, n), generator=generator)
    return torch.cat([shifts, torch.randint(2, (1, n), generator=generator)])


def crop_flip(padded: torch.Tensor, rows: torch.Tensor, down, across, flip) -> torch.Tensor:
    """The images in `rows` as `draw_views` says: torchvision's RandomCrop and RandomHorizontalFlip, a batch at once.

    padded: all images, with MARGIN zeros on each side (n, c, h + 2 MARGIN, w + 2 MARGIN); the rest: (m,) each.
    Returns (m, c, h, w), the same bits on every device.
    """
    channels, height, width = padded.shape[1], *(size - 2 * MARGIN for size in padded.shape[2:])
    places = torch.arange(max(channels, height, width), device=padded.device)
    x = torch.where(flip[:, None] > 0, width - 1 - places[:width], places[:width]) + across[:, None]
    y = places[:height] + down[:, None]
    return padded[rows[:, None, None, None], places[:channels, None, None], y[:, None, :, None], x[:, None, None, :]]


WARM = 3
"""Steps taken one kernel at a time before one is captured, so that the optimizer's state is there."""
WORTH = 20
"""The fewest steps that a graph must serve."""


def _on_gpu(device: torch.device) -> bool:
    return device.type == "cuda"


@functools.cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """One for all: memory that was freed on one stream serves no other."""
    return torch.cuda.Stream(device)


@contextlib.contextmanager
def _own_stream(device: torch.device) -> Iterator[None]:
    """On a GPU, run the block on a stream of its own: a graph can't be captured on the default one."""
    if device.type != "cuda":
        yield
        return
    stream = _stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        yield
    torch.cuda.current_stream(device).wait_stream(stream)


def _capture(advance: Callable, given: torch.Tensor) -> Callable[[torch.Tensor], None] | None:
    """`advance` of a tensor like `given` as a CUDA graph. Nothing is run: the result is a function that runs it.

    None, with a warning, where it can't be captured.
    """
    held, graph = given.clone(), torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
            advance(held)
    except RuntimeError as error:
        torch.cuda.synchronize()
        cause = error.__context__ or error  # leaving the block can fail again, with less to say
        warnings.warn(f"A step can't be captured as a CUDA graph, so it runs kernel by kernel: {cause}", stacklevel=3)
        return None

    def replay(given: torch.Tensor) -> None:
        held.copy_(given)
        graph.replay()

    return replay


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
    capture: bool = False,
) -> torch.nn.Module:
    """Train `model` in place on `objective(logits, batch)` and return it, in eval mode.

    images: (n, c, h, w), in [0, 1] or uint8; `batch.images` are in [0, 1].
    optimizer: "sgd" (with `momentum`, `nesterov`) or "adamw".
    batchnorm: "train" normalises by the batch and moves the running statistics; "frozen" keeps and uses the running
    statistics (weights and biases of BatchNorm still learn).
    stop: called with the epoch's number, from 0, after each; True ends the training.
    after_step: called after each step.
    capture: on a GPU, replay a step as a CUDA graph. Only where `objective` and `after_step` do the same operations on
    the device for every batch, draw nothing and ask no tensor for its value; they may use `batch.epoch`.
    Within a block of `counting` the steps are counted, and no more than its limit are taken. `looping` says how.

    Raises Diverged if a loss or a weight is not finite, InputError for an unknown optimizer or batchnorm.
    """
    if optimizer not in ("sgd", "adamw"):
        raise InputError(f"There is no optimizer called {optimizer!r}: choose sgd or adamw.")
    if min(lr, momentum, weight_decay) < 0:
        raise InputError("lr, momentum and weight_decay can't be negative: give zero or more.")
    if batchnorm not in ("train", "frozen"):
        raise InputError(f"BatchNorm can't be {batchnorm!r}: choose train or frozen.")
    if len(images) == 0:
        raise InputError("There are no examples to train on: give at least one.")
    loop, device, is_image = _loop.get(), images.device, images.ndim == 4
    layout = loop.layout if is_image else torch.contiguous_format
    augmented = is_image and loop.augment == "crop_flip"
    stored = pad(images, [MARGIN] * 4) if augmented else images
    if loop.channels_last:
        model.to(memory_format=torch.channels_last)
    on_gpu, half = _on_gpu(device), loop.precision == "bf16"
    descent = (FusedDescent if on_gpu else Descent)(
        model.parameters(), lr, optimizer=optimizer, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay
    )
    model.train()
    if batchnorm == "frozen":
        for layer in models.batchnorms(model):
            layer.eval()
    total = torch.zeros((), device=device)

    def advance(given: torch.Tensor, epoch: int) -> bool:
        """One step on the rows, and their views, of one batch; whether it depends on the epoch."""
        seen = models.pixels(crop_flip(stored, *given) if augmented else stored[given[0]])
        batch = Batch(seen.contiguous(memory_format=layout), given[0], epoch)
        with torch.autocast(device.type, torch.bfloat16, cache_enabled=False) if half else contextlib.nullcontext():
            outputs = model(batch.images)
        outputs = tuple(part.float() for part in outputs) if isinstance(outputs, tuple) else outputs.float()
        loss = objective(outputs, batch)
        descent.zero_grad()
        loss.backward()
        descent.step()
        after_step()
        total.add_(loss.detach())
        return batch.dated

    steps = _steps.get() or Steps()
    graph, dated, warm, capture = None, False, 0, capture and loop.capture and on_gpu
    with _own_stream(device):
        for epoch in range(epochs):
            total.zero_()
            order = batches(len(images), batch_size, generator)
            plan = torch.cat(order)[None]
            if augmented:
                plan = torch.cat([plan, draw_views(len(images), generator)])
            if dated:
                graph = None  # it holds the last epoch's number
            for step, given in enumerate(plan.to(device).split([len(rows) for rows in order], dim=1)):
                if steps.spent:
                    break
                descent.lr = lr * schedule((epoch + step / len(order)) / epochs)
                whole = given.shape[1] == batch_size
                if capture and whole and graph is None and warm >= WARM:
                    served = (len(order) - step) if dated else len(order) * (epochs - epoch) - step
                    if served >= WORTH:
                        graph = _capture(functools.partial(advance, epoch=epoch), given)
                        capture = graph is not None
                if graph is not None and whole:
                    graph(given)
                else:
                    dated = advance(given, epoch)
                    warm += 1
                steps.taken += 1
            finite = [torch.isfinite(tensor).all() for tensor in (total, *model.parameters())]
            if not torch.stack(finite).all():
                where = f"after epoch {epoch + 1} of {epochs}"
                raise Diverged(f"The loss or a weight was not finite {where}: lower lr ({lr}).")
            if steps.spent or stop(epoch):
                break
    if loop.channels_last:
        model.to(memory_format=torch.contiguous_format)
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
    loop: dict | None = None,
) -> list[dict]:
    """Train one model a seed by the same rule and write a checkpoint and predictions for each.

    role "original" trains on all train rows; "retrained" on the rows that the index file `forget_set` retains.
    options: epochs, batch_size, lr, momentum, weight_decay of the recipe, and, if not "sgd" (with Nesterov momentum)
    and "linear", its optimizer and the schedule of its rate, one of SCHEDULES; of "cosine" a whole epoch has one rate,
    as in 2605.31317 (app. B.2). The last epoch's model is kept, and not, as there, the best on the test examples.
    loop: options of `Loop`.
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
    recipe = {"schedule": "linear", **options}
    schedule, epochs = SCHEDULES[recipe.pop("schedule")], options["epochs"]
    records = []
    for seed in seeds:
        start, used = time.perf_counter(), time.process_time()
        model = models.build(network, channels, everything.classes, seed=seed, stage=stage).to(device)
        with counting() as steps, looping(**(loop or {})):
            fit(
                model,
                examples.images,
                lambda logits, batch: cross_entropy(logits, examples.labels[batch.rows]),
                generator=stream(seed, stage, "batches"),
                nesterov=True,
                schedule=by_epoch(epochs) if schedule is cosine else schedule,
                capture=True,
                **recipe,
            )
        facts = {"network": network, "role": stage, "seed": seed, "options": options, "data": fingerprint}
        facts |= {"loop": loop or {}, "seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - used}
        predictions = predict.predict(model, everything.images, device)
        checkpoint.write(out, seed, model, predictions, {**facts, "steps": steps.taken})
        records.append({"seed": seed, **predict.accuracies(predictions, everything, {"train": rows})})
    return records

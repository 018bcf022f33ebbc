"""A step of a training loop replayed as one CUDA graph, where that pays: what is launched once costs no launches."""

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterator

import torch

WARM = 3
"""Steps taken one kernel at a time before one is captured, so that the optimizer's state is there."""
WORTH = 20
"""The fewest steps that a graph must serve."""


def possible(device: torch.device) -> bool:
    """Whether the device has graphs. Tests say yes on a CPU, which has no streams: `own_stream` does not ask this."""
    return device.type == "cuda"


@functools.cache
def _stream(device: torch.device) -> torch.cuda.Stream:
    """One for all: memory that was freed on one stream serves no other."""
    return torch.cuda.Stream(device)


@contextlib.contextmanager
def own_stream(device: torch.device) -> Iterator[None]:
    """On a GPU, run the block on a stream of its own: a graph can't be captured on the default one."""
    if device.type != "cuda":
        yield
        return
    stream = _stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):
        yield
    torch.cuda.current_stream(device).wait_stream(stream)


def capture(advance: Callable, given: torch.Tensor) -> Callable[[torch.Tensor], None] | None:
    """`advance` of a tensor like `given` as a CUDA graph. Nothing is run: the result is a function that runs it.

    None, with a warning, where it can't be captured.
    """
    held, graph = given.clone(), torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, stream=torch.cuda.current_stream()):
            advance(held)
    except RuntimeError as error:
        torch.cuda.synchronize()
        cause = str(error.__context__ or error)  # leaving the block can fail again, with less to say
        message = f"A step can't be captured as a CUDA graph, so it runs kernel by kernel: {cause}"
        warnings.warn(message, stacklevel=4)  # this, Replayed, fit, and who called it
        return None

    def replay(given: torch.Tensor) -> None:
        held.copy_(given)
        graph.replay()

    return replay


class Replayed:
    """The function `advance(given, epoch)`, which says whether it looked at the epoch, as a graph once that pays.

    A graph serves batches of `size` rows. One of a step that looked at the epoch holds that number, and serves no
    other epoch. capturable: whether there may be one at all.
    """

    def __init__(self, advance: Callable[[torch.Tensor, int], bool], size: int, *, capturable: bool):
        self.advance, self.size, self.capturable = advance, size, capturable
        self.graph, self.warm = None, 0  # warm: steps taken without one
        self.epoch, self.dated = 0, False  # of the last step, and whether it looked at it

    def __call__(self, given: torch.Tensor, epoch: int, in_epoch: int, in_all: int) -> None:
        """Take a step. in_epoch, in_all: how many steps are left, this one included."""
        if self.dated and epoch != self.epoch:
            self.graph = None
        self.epoch, whole = epoch, given.shape[1] == self.size
        served = in_epoch if self.dated else in_all
        if whole and self.graph is None and self.capturable and self.warm >= WARM and served >= WORTH:
            self.graph = capture(functools.partial(self.advance, epoch=epoch), given)
            self.capturable = self.graph is not None
        if whole and self.graph is not None:
            self.graph(given)
        else:
            self.dated = self.advance(given, epoch)
            self.warm += 1

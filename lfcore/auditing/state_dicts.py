"""Weights that other projects saved, read without running any code of theirs."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from lfcore.core.errors import InputError

PLACES = ("state_dict", "model", "net")
"""Where a checkpoint may keep its weights, if not at its top."""
NORMALIZE = ("normalize.mean", "normalize.std")
NUMBERS = [
    np.dtype,
    type(np.dtype(np.float64)),
    type(np.dtype(np.int64)),
    (np.float64(0).__reduce__()[0], "numpy.core.multiarray.scalar"),
    (np.float64(0).__reduce__()[0], "numpy._core.multiarray.scalar"),
]
"""What torch's safe reader does not know and accuracies saved beside the weights are: numbers of numpy."""


def load_state_dict(path: str | Path | Mapping, network: torch.nn.Module) -> torch.nn.Module:
    """Load the weights in `path` into `network`, and return it in eval mode.

    path: safetensors, or a file of `torch.save`, which is read with weights_only=True, so that it can hold nothing but
    tensors and numbers; or the mapping that was read from one. The weights are its top, or under "state_dict", "model"
    or "net". A leading "module." (of DataParallel) is dropped. Networks such as those of SalUn
    (OPTML-Group/Unlearn-Saliency) normalise their inputs themselves, with the entries normalize.mean and normalize.std;
    the mean and deviation are then applied to the inputs
    of `network`, too, unless it has a layer `normalize` of its own. Raises InputError if the weights do not fit.
    """
    given, path = (path, "The state dict") if isinstance(path, Mapping) else (_read(Path(path)), path)
    found = _find(given, path)
    weights = {name.removeprefix("module."): tensor for name, tensor in found.items()}
    own = network.state_dict()
    normalize = [weights.pop(name) for name in NORMALIZE if name in weights and name not in own]
    _check(path, weights, own, f"this {type(network).__name__}")
    network.load_state_dict(weights)
    if hasattr(network, "normalizing"):  # weights were loaded before
        network.normalizing.remove()
    if len(normalize) == 2:
        mean, std = (tensor.float()[:, None, None] for tensor in normalize)
        network.normalizing = network.register_forward_pre_hook(
            lambda module, inputs: ((inputs[0] - mean.to(inputs[0].device)) / std.to(inputs[0].device), *inputs[1:])
        )
    return network.eval()


def _check(path: str | Path, weights: Mapping, own: Mapping, network: str) -> None:
    for names, one, other in ((own, weights, "has no"), (weights, own, "has")):
        apart = [name for name in names if name not in one]
        if apart:
            more = f" and {len(apart) - 1} more" if len(apart) > 1 else ""
            end = f"which {network} {'needs' if names is own else 'lacks'}"
            raise InputError(f"{path} {other} {apart[0]!r}{more}, {end}: build the network that it was saved from.")
    for name, tensor in own.items():
        if weights[name].shape != tensor.shape:
            shapes = f"{tuple(weights[name].shape)} in {path} and {tuple(tensor.shape)} in {network}"
            raise InputError(f"{name!r} is {shapes}: build the network with the same classes and width.")


def _read(path: Path):
    """What a file holds, without running any of it."""
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(NUMBERS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{path} is missing: give the path of the saved weights.") from None
    except Exception as error:  # torch raises whatever a damaged or hostile file leads to
        reason = "it is damaged" if isinstance(error, SafetensorError) else "it is damaged, or holds more than tensors"
        cure = "where you trust it, save its state dict alone and read that"
        raise InputError(f"{path} can't be read safely ({reason}): {cure}.") from None


def _find(found, path: str | Path) -> Mapping[str, torch.Tensor]:
    """The state dict at the top or at its place; `path` is what messages call it."""
    inner = [found[place] for place in PLACES if isinstance(found, Mapping) and isinstance(found.get(place), Mapping)]
    found = inner[0] if inner else found
    if not isinstance(found, Mapping) or not found or not all(isinstance(v, torch.Tensor) for v in found.values()):
        raise InputError(f"{path} holds no state dict, neither at its top nor under {', '.join(PLACES)}: save one.")
    return found

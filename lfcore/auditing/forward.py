"""One pass of a model over examples: its logits, and the features at one of its layers."""

import contextlib
from collections.abc import Callable, Iterator

import numpy as np
import torch

from lfcore.auditing.subjects import Subject
from lfcore.core.errors import InputError


def find_layer(network: torch.nn.Module, path: str | None) -> str:
    """The path of the layer to read; without one, that of the last linear layer."""
    modules = dict(network.named_modules())
    linear = [name for name, module in modules.items() if isinstance(module, torch.nn.Linear)]
    if path is None and not linear:
        raise InputError("The original has no linear layer to read features at: name a layer with features=.")
    if path is not None and (path not in modules or not path):
        hint = f"choose a path of named_modules(), such as {[*modules, *linear][-1]!r}"
        raise InputError(f"The original has no layer called {path!r}: {hint}.")
    return linear[-1] if path is None else path


@contextlib.contextmanager
def _watching(network: torch.nn.Module, path: str) -> Iterator[dict]:
    """What goes into the layer, and what comes out of it, in the last forward pass of the block."""
    seen = {}

    def keep(module, inputs, output):
        seen["in"], seen["out"] = inputs[0] if inputs else None, output

    hook = network.get_submodule(path).register_forward_hook(keep)
    try:
        yield seen
    finally:
        hook.remove()


def fit_to(network: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Images on the device of the network's weights, and in their dtype where either is float64."""
    weights = next(network.parameters(), images)
    mixed = images.is_floating_point() and torch.float64 in (images.dtype, weights.dtype)
    return images.to(weights.device, weights.dtype if mixed else images.dtype)


@torch.no_grad()
def predict(subject: Subject, rows: np.ndarray, images, layer: str | Callable | None = None) -> tuple:
    """Logits (b, classes) of these rows, and features (b, width) if `layer` asks for them; numpy, as precise as given.

    layer: a path, or a function (network, images) -> features. If the layer's output are the logits, the features are
    its input; else its output, flattened. Predictions have their features beside them, whatever `layer` says.
    """
    if subject.network is None:
        if layer is not None and subject.features is None:
            raise InputError(f"The {subject.name} predictions have no features: name the array (n, width) 'features'.")
        features = None if layer is None else subject.features[rows]
        return _check_logits(subject, np.asarray(subject.logits[rows]), rows), features
    images = fit_to(subject.network, images)
    watch = isinstance(layer, str)
    if watch and layer not in dict(subject.network.named_modules()):
        raise InputError(f"The {subject.name} model has no layer called {layer!r}: name one that all models have.")
    with _watching(subject.network, layer) if watch else contextlib.nullcontext({}) as seen:
        try:
            output = subject.network(images)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            what = f"these images, {images.dtype} of shape {tuple(images.shape[1:])} each"
            reason = str(error).splitlines()[0]
            raise InputError(f"The {subject.name} model can't be run on {what}: {reason}.") from None
    logits = getattr(output, "logits", output)
    if not isinstance(logits, torch.Tensor) or logits.ndim != 2 or len(logits) != len(rows):
        raise InputError(f"The {subject.name} model does not return logits of shape (n, classes): wrap it so it does.")
    features = None
    if watch:
        if not isinstance(seen.get("out"), torch.Tensor):
            raise InputError(f"Layer {layer!r} of the {subject.name} model gave no tensor in its pass: name another.")
        head = seen["out"].shape == logits.shape and torch.equal(seen["out"], logits)
        features = seen["in" if head else "out"].flatten(1)
    elif layer is not None:
        features = layer(subject.network, images)
        if not isinstance(features, torch.Tensor) or features.ndim != 2 or len(features) != len(rows):
            raise InputError("The function features= does not return a tensor (n, width): let it return one row each.")
    found = None if features is None else features.float().cpu().numpy()
    return _check_logits(subject, logits.float().cpu().numpy(), rows), found


def _check_logits(subject: Subject, logits: np.ndarray, rows: np.ndarray) -> np.ndarray:
    if not np.isfinite(logits).all():
        row = rows[np.isfinite(logits).all(axis=1).argmin()]
        raise InputError(f"The {subject.name} model's logits of example {row} are not finite: audit one that is sound.")
    if logits.shape[1] < 2:
        raise InputError(f"The {subject.name} model has a single output: give one logit for each class, two or more.")
    if len(rows) > 1 and logits.min() >= 0 and np.allclose(logits.sum(axis=1), 1, atol=1e-3):
        raise InputError(f"The {subject.name} model gives probabilities: give logits, the numbers before the softmax.")
    return logits

"""Gradients of single examples, as rows of a matrix."""

from collections.abc import Iterator

import torch
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy


def unflatten(model, vector: torch.Tensor) -> list[torch.Tensor]:
    """A vector (parameters,), as rows of `per_example` are, cut into the shapes of `model.parameters()`."""
    parameters = list(model.parameters())
    parts = vector.split([parameter.numel() for parameter in parameters])
    return [part.view_as(parameter) for part, parameter in zip(parts, parameters, strict=True)]


def per_example(model, examples, chunk: int = 64) -> Iterator[torch.Tensor]:
    """Gradients of CE(f(x), y) for one example at a time, (chunk, parameters), chunk by chunk in order, in eval mode.

    The columns follow `model.parameters()`, each flattened.
    """
    model.eval()
    parameters = {name: parameter.detach() for name, parameter in model.named_parameters()}
    buffers = dict(model.named_buffers())

    def loss(weights, image, label):
        logits = functional_call(model, (weights, buffers), (image[None],))
        return cross_entropy(logits, label[None])

    gradients = vmap(grad(loss), in_dims=(None, 0, 0))
    for images, labels in zip(examples.images.split(chunk), examples.labels.split(chunk), strict=True):
        found = gradients(parameters, images, labels)
        yield torch.cat([found[name].flatten(start_dim=1) for name in parameters], dim=1)


@torch.enable_grad()
def summed(model, examples, chunk: int = 256) -> torch.Tensor:
    """The gradient of CE(f(x), y) summed over the examples, (parameters,), in eval mode: the sum of `per_example`."""
    model.eval()
    parameters, total = list(model.parameters()), None
    for images, labels in zip(examples.images.split(chunk), examples.labels.split(chunk), strict=True):
        found = torch.autograd.grad(cross_entropy(model(images), labels, reduction="sum"), parameters)
        flat = torch.cat([part.flatten() for part in found])
        total = flat if total is None else total + flat
    return total

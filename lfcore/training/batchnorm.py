"""BatchNorm's statistics, computed anew."""

import torch

from lfcore.models.networks import batchnorms


@torch.no_grad()
def recompute_statistics(model: torch.nn.Module, images: torch.Tensor, batch_size: int = 1024) -> None:
    """Set the running mean and variance of every BatchNorm layer to those of `images` under the weights as they are.

    In train mode, as a plain average over the batches, so that nothing of earlier weights is left; within `batch_size`
    images the statistics are exactly those that train mode normalises by. Modes and momenta are put back.
    """
    layers = batchnorms(model)
    if not layers:
        return
    modes = {module: module.training for module in model.modules()}
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None
    model.train()
    for part in images.split(batch_size):
        model(part)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    for module, training in modes.items():
        module.training = training

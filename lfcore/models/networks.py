"""Networks. A network is a function ``(channels, classes) -> Classifier`` in this file; its name is the function's.

All pool to a fixed size, so any image of at least 8x8 pixels will do (vit_tiny: of a multiple of 4). Images of three
channels are normalised by a network itself, so that everything else works on pixels in [0, 1].
"""

import contextlib
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lfcore.core import checkpoint, seeds
from lfcore.core.data import Data
from lfcore.core.errors import InputError
from lfcore.core.examples import pixels

MEAN, DEVIATION = (0.5070, 0.4865, 0.4409), (0.2673, 0.2564, 0.2761)
"""What images of three channels are normalised by: of CIFAR-100's train images, as in 2605.31317's code."""


class Classifier(nn.Module):
    """A body that maps images to penultimate features, and a linear head that maps features to logits.

    Images are in [0, 1], or uint8.
    """

    def __init__(self, body: nn.Module, width: int, classes: int):
        super().__init__()
        self.body = body
        self.head = nn.Linear(width, classes)
        for name, values in (("mean", MEAN), ("deviation", DEVIATION)):  # no part of the weights' file
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """What the body reads: pixels in the weights' dtype, those of three channels less MEAN, over DEVIATION."""
        images = pixels(images).to(next(self.head.parameters()).dtype)
        return (images - self.mean) / self.deviation if images.shape[1] == 3 else images

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Penultimate features h(x), (n, width)."""
        return self.body(self.normalise(images))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits, (n, classes)."""
        return self.head(self.features(images))


def _conv(inputs: int, outputs: int, *, size: int = 3, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outputs)]


def _pool() -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten()]


def cnn(channels: int, classes: int) -> Classifier:
    """Three 3x3 convolutions of 16, 32 and 64 channels, each with BatchNorm and GELU, and two average poolings.

    Smooth throughout, so that a difference in rounding stays one: neither a ReLU nor a maximum turns it into a jump.
    """
    layers = [*_conv(channels, 16), nn.GELU(), nn.AvgPool2d(2)]
    layers += [*_conv(16, 32), nn.GELU(), nn.AvgPool2d(2)]
    layers += [*_conv(32, 64), nn.GELU(), *_pool()]
    return Classifier(nn.Sequential(*layers), 64, classes)


class _Block(nn.Module):
    """Two 3x3 convolutions and a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.main = nn.Sequential(*_conv(inputs, outputs, stride=stride), nn.ReLU(), *_conv(outputs, outputs))
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Sequential(*_conv(inputs, outputs, size=1, stride=stride))

    def forward(self, images):
        return torch.relu(self.main(images) + self.shortcut(images))


def _resnet(blocks: int, channels: int, classes: int) -> Classifier:
    layers = [*_conv(channels, 16), nn.ReLU()]
    inputs = 16
    for stage, outputs in enumerate((16, 32, 64)):
        for block in range(blocks):
            layers.append(_Block(inputs, outputs, stride=2 if stage and not block else 1))
            inputs = outputs
    return Classifier(nn.Sequential(*layers, *_pool()), 64, classes)


def resnet8(channels: int, classes: int) -> Classifier:
    """The CIFAR ResNet of depth 6n+2 with n = 1, stages of 16, 32 and 64 channels (He et al., 1512.03385, sec. 4.2)."""
    return _resnet(1, channels, classes)


def resnet56(channels: int, classes: int) -> Classifier:
    """The CIFAR ResNet of depth 6n+2 with n = 9, the network of 2605.31317 (app. B.2)."""
    return _resnet(9, channels, classes)


class _Residual(nn.Module):
    """An image plus two 3x3 convolutions of it."""

    def __init__(self, width: int):
        super().__init__()
        self.main = nn.Sequential(*_conv(width, width), nn.ReLU(), *_conv(width, width), nn.ReLU())

    def forward(self, images):
        return images + self.main(images)


def resnet9(channels: int, classes: int) -> Classifier:
    """The ResNet-9 of the speed records on CIFAR (DAWNBench), at width 16: stages of 16, 32, 64 and 128 channels."""
    layers = [*_conv(channels, 16), nn.ReLU()]
    layers += [*_conv(16, 32), nn.ReLU(), nn.MaxPool2d(2), _Residual(32)]
    layers += [*_conv(32, 64), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [*_conv(64, 128), nn.ReLU(), nn.MaxPool2d(2), _Residual(128)]
    return Classifier(nn.Sequential(*layers, *_pool()), 128, classes)


def vit_tiny(channels: int, classes: int) -> Classifier:
    """ViT-Tiny on patches of 4x4, from scratch, the network of 2605.31317's SVHN experiment (app. B.2); needs timm.

    Features are the class token's. Images that are not 32x32 get interpolated positions.
    """
    from lfcore.models import torchvision  # noqa: F401  timm imports torchvision

    try:
        import timm
    except ImportError:
        raise InputError(
            "The network vit_tiny needs timm, which is not installed: pip install 'lfcore[vit]'."
        ) from None
    options = {"img_size": 32, "patch_size": 4, "dynamic_img_size": True, "in_chans": channels, "num_classes": 0}
    body = timm.create_model("vit_tiny_patch16_224", **options)
    return Classifier(body, body.num_features, classes)


def small_cnn(channels: int, classes: int) -> Classifier:
    """Three 3x3 convolutions of 32, 64 and 128 channels, else as `cnn`: a teacher of 2605.31317 (tables 4, 5)."""
    layers = [*_conv(channels, 32), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [*_conv(32, 64), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [*_conv(64, 128), nn.ReLU(), *_pool()]
    return Classifier(nn.Sequential(*layers), 128, classes)


class _To(nn.AdaptiveAvgPool2d):
    """Images of one size, which are left alone if they have it: a GPU can't repeat this pooling bit by bit."""

    def forward(self, images):
        return images if images.shape[-2:] == (self.output_size, self.output_size) else super().forward(images)


def mnist_cnn(channels: int, classes: int) -> Classifier:
    """The network of 2605.31317's MNIST experiment: two 3x3 convolutions of 16 and 32 channels, then 64 features.

    ReLU and max-pooling after each convolution, no BatchNorm. Images that are not 28x28 are pooled to its 7x7.
    """
    layers = [nn.Conv2d(channels, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    layers += [_To(7), nn.Flatten(), nn.Linear(32 * 7 * 7, 64), nn.ReLU()]
    return Classifier(nn.Sequential(*layers), 64, classes)


def known() -> list[str]:
    """The names of the networks."""
    functions = inspect.getmembers(sys.modules[__name__], inspect.isfunction)
    return [name for name, f in functions if [*inspect.signature(f).parameters] == ["channels", "classes"]]


@contextlib.contextmanager
def drawing(stream: int, dtype: torch.dtype) -> Iterator[None]:
    """Within the block, what torch makes and draws is of `dtype` and from the number `stream`; nothing stays changed.

    Weights that are drawn in float32 and widened differ from processor to processor in float32's last bit.
    """
    before = torch.get_default_dtype()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream)
        torch.set_default_dtype(dtype)
        try:
            yield
        finally:
            torch.set_default_dtype(before)


def dtype_for(images: np.ndarray | torch.Tensor) -> torch.dtype:
    """The dtype of a network for these images: float64 for float64 images, float32 for all others."""
    return torch.float64 if str(images.dtype).endswith("float64") else torch.float32


def build(
    network: str, channels: int, classes: int, *, seed: int, stage: str, dtype: torch.dtype = torch.float32
) -> Classifier:
    """The network called `network`, freshly initialised in `dtype` from the stream (seed, stage, "weights")."""
    if network not in known():
        raise InputError(f"There is no network called {network!r}: choose one of {', '.join(known())}.")
    with drawing(seeds.number(seed, stage, "weights"), dtype):
        return getattr(sys.modules[__name__], network)(channels, classes)


def read(folders: list[str | Path], seed: int, network: str, dataset: Data, device: str) -> Classifier:
    """The model of `seed` from the first of `folders` that has it, in eval mode."""
    blank = build(network, dataset.images.shape[1], dataset.classes, seed=seed, stage="unread")
    return checkpoint.read(folders, seed, blank).to(device)


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put the model in eval mode within the block; afterwards the mode of every layer is as it was."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True


def batchnorms(model: nn.Module) -> list[nn.Module]:
    """The BatchNorm layers of any torch model."""
    return [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]

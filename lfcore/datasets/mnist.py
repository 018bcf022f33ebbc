"""MNIST: 70,000 grey images of digits, 28x28, in 10 classes.

Y. LeCun, C. Cortes and C. Burges, The MNIST database of handwritten digits, 1998; read by torchvision.
"""

import numpy as np

from lfcore.data import Data
from lfcore.errors import InputError
from lfcore.paths import ROOT


def load(root="data", *, download: bool = False) -> Data:
    """Load MNIST from `root` (torchvision's layout), or let torchvision download it there.

    images: (70000, 1, 28, 28) float32 in [0, 1]; the official split, train rows first.
    """
    return read("MNIST", root, download)


def read(name: str, root, download: bool) -> Data:
    """The data set of that class of torchvision.datasets, as in `load`."""
    from lfcore.vision import torchvision

    kind = getattr(torchvision.datasets, name)
    try:
        parts = [kind(ROOT / root, train=train, download=download) for train in (True, False)]
    except RuntimeError:
        raise InputError(f"There is no {name} in {ROOT / root}: put torchvision's {name} folder there.") from None
    images = np.concatenate([part.data.numpy() for part in parts])
    sizes = [len(part) for part in parts]
    return Data(
        images=(images[:, None] / np.float32(255)).astype(np.float32),
        labels=np.concatenate([part.targets.numpy() for part in parts]).astype(np.int64),
        train=np.arange(sizes[0]),
        test=np.arange(sizes[0], sum(sizes)),
    )

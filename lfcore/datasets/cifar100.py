"""CIFAR-100: 60,000 colour images, 32x32, in 100 classes, 500 train and 100 test images each.

A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; read by torchvision, which checks md5.
"""

import numpy as np

from lfcore.core.data import Data
from lfcore.core.errors import InputError
from lfcore.core.paths import ROOT


def load(root="data", *, download: bool = False, classes: list | None = None) -> Data:
    """Load CIFAR-100 from `root` (torchvision's layout), or let torchvision download it there.

    images: (60000, 3, 32, 32) uint8; the official split and order, train rows first.
    classes: names or numbers of the classes to keep, which are then 0, 1, … in this order; all, if not given.
    """
    from lfcore.models.torchvision import torchvision

    folder = ROOT / root
    try:
        parts = [torchvision.datasets.CIFAR100(folder, train=train, download=download) for train in (True, False)]
    except (RuntimeError, OSError) as error:
        raise InputError(
            f"There is no intact CIFAR-100 in {folder} ({error}): put torchvision's cifar-100-python there, name its "
            "folder by dataset.root or the environment variable LFCORE_DATA, or set dataset.download."
        ) from None
    images = np.concatenate([part.data for part in parts]).transpose(0, 3, 1, 2)
    labels = np.concatenate([part.targets for part in parts]).astype(np.int64)
    is_train = np.arange(len(labels)) < len(parts[0])
    if classes is not None:
        kept = _numbers(classes, parts[0].classes)
        rows = np.flatnonzero(np.isin(labels, kept))
        new = np.full(len(parts[0].classes), -1)
        new[kept] = np.arange(len(kept))
        images, labels, is_train = images[rows], new[labels[rows]], is_train[rows]
    return Data(np.ascontiguousarray(images), labels, np.flatnonzero(is_train), np.flatnonzero(~is_train))


def _numbers(classes: list, names: list[str]) -> list[int]:
    known = {**{name: number for number, name in enumerate(names)}, **{number: number for number in range(len(names))}}
    for name in classes:
        if name not in known:
            raise InputError(f"CIFAR-100 has no class {name!r}: choose from {', '.join(names)}, or their numbers.")
    numbers = [known[name] for name in classes]
    if len(set(numbers)) != len(numbers) or len(numbers) < 2:
        raise InputError("The classes of CIFAR-100 to keep must be two or more, each named once: change the config.")
    return numbers

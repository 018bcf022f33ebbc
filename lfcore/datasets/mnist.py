"""MNIST: 70,000 grey images of digits, 28x28, in 10 classes.

Y. LeCun, C. Cortes and C. Burges, The MNIST database of handwritten digits, 1998; fetched and parsed by torchvision.
"""

import hashlib

import numpy as np

from lfcore.core.data import Data
from lfcore.core.errors import InputError
from lfcore.core.paths import ROOT

NAMES = (
    "train-images-idx3-ubyte",
    "t10k-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-labels-idx1-ubyte",
)
MD5 = {
    "MNIST": (
        "6bbc9ace898e44ae57da46a324031adb",
        "2646ac647ad5339dbf082846283269ea",
        "a25bea736e30d166cdddb491f175f624",
        "27ae3e4e09519cfbb04c329615203637",
    ),
    "FashionMNIST": (
        "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "8181f5470baa50b63fa0f6fddb340f0a",
        "9018921c3c673c538a1fc5bad174d6f9",
        "15d484375f8d13e6eb1aabb0c3f46965",
    ),
}
"""Of the four files of NAMES, unpacked. Torchvision checks the packed ones alone, and only when it fetches them."""


def load(root="data", *, download: bool = False) -> Data:
    """Load MNIST from `root` (torchvision's layout), or let torchvision download it there.

    images: (70000, 1, 28, 28) float32 in [0, 1]; the official split, train rows first.
    """
    return read("MNIST", root, download)


def read(name: str, root, download: bool) -> Data:
    """The data set of that class of torchvision.datasets, as in `load`."""
    from lfcore.models.torchvision import torchvision

    folder = ROOT / root / name / "raw"
    if download and not all((folder / file).is_file() for file in NAMES):
        try:
            getattr(torchvision.datasets, name)(ROOT / root, download=True)
        except (RuntimeError, OSError) as error:
            raise InputError(f"{name} could not be fetched ({' '.join(str(error).split())}): try again.") from None
    for file, md5 in zip(NAMES, MD5[name], strict=True):
        try:
            with (folder / file).open("rb") as opened:
                found = hashlib.file_digest(opened, "md5").hexdigest()
        except OSError:
            raise InputError(
                f"There is no {name} in {ROOT / root}: put torchvision's {name} folder there, name the folder that "
                "holds it by dataset.root or the environment variable LFCORE_DATA, or set dataset.download."
            ) from None
        if found != md5:
            raise InputError(f"{folder / file} is not the official file (its md5 differs): fetch {name} again.")
    parse = torchvision.datasets.mnist.read_image_file, torchvision.datasets.mnist.read_label_file
    train, test = (parse[0](str(folder / file)).numpy() for file in NAMES[:2])
    labels = [parse[1](str(folder / file)).numpy() for file in NAMES[2:]]
    images = np.concatenate([train, test])
    return Data(
        images=(images[:, None] / np.float32(255)).astype(np.float32),
        labels=np.concatenate(labels).astype(np.int64),
        train=np.arange(len(train)),
        test=np.arange(len(train), len(images)),
    )

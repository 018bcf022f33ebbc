"""Street View House Numbers: 99,289 colour images of digits, 32x32, in 10 classes.

Y. Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, 2011; read by torchvision, which
checks md5. The cropped digits; its `extra` images are left out.
"""

import numpy as np

from lfcore.core.data import Data
from lfcore.core.errors import InputError
from lfcore.core.paths import ROOT


def load(root="data", *, download: bool = False) -> Data:
    """Load SVHN from `root` (torchvision's layout: two .mat files), or let torchvision download it there.

    images: (99289, 3, 32, 32) uint8; the official split and order, train rows first. Label 0 is the digit 0.
    """
    from lfcore.models.torchvision import torchvision

    folder = ROOT / root
    try:
        parts = [torchvision.datasets.SVHN(str(folder), split, download=download) for split in ("train", "test")]
    except (RuntimeError, OSError) as error:
        raise InputError(
            f"There is no intact SVHN in {folder} ({error}): put train_32x32.mat and test_32x32.mat there, name their "
            "folder by dataset.root or the environment variable LFCORE_DATA, or set dataset.download."
        ) from None
    sizes = [len(part.labels) for part in parts]
    return Data(
        images=np.concatenate([part.data for part in parts]),
        labels=np.concatenate([part.labels for part in parts]).astype(np.int64),
        train=np.arange(sizes[0]),
        test=np.arange(sizes[0], sum(sizes)),
    )

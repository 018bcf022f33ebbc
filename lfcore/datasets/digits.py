"""Handwritten digits: 1,797 real 8x8 grey images in 10 classes, shipped inside scikit-learn.

E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.
"""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from lfcore.core.data import Data


def load(root=None, *, download: bool = False) -> Data:
    """Load the digits; `root` and `download` are ignored, since the images are part of scikit-learn.

    images: (1797, 1, 8, 8) float64 in [0, 1], the pixels divided by their fixed maximum 16 and not by statistics of
    the data, which would contain the forget set; so networks are trained in float64 (`networks.dtype_for`). One fixed
    split, 60 % train and stratified by class, both parts in data-set order; that order runs from writer to writer, so
    the first images of a class are some writers' all.
    """
    digits = load_digits()
    train, test = train_test_split(
        np.arange(len(digits.target)), train_size=0.6, stratify=digits.target, random_state=0
    )
    return Data(
        images=digits.images[:, None] / 16,
        labels=digits.target.astype(np.int64),
        train=np.sort(train).astype(np.int64),
        test=np.sort(test).astype(np.int64),
    )

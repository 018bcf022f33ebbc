"""Fashion-MNIST: 70,000 grey images of clothes, 28x28, in 10 classes.

Xiao, Rasul and Vollgraf, 1708.07747; fetched and parsed by torchvision.
"""

from lfcore.core.data import Data
from lfcore.datasets.mnist import read


def load(root="data", *, download: bool = False) -> Data:
    """As `lfcore.datasets.mnist.load`, of torchvision's FashionMNIST."""
    return read("FashionMNIST", root, download)

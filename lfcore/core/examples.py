"""Images and labels on one device."""

from dataclasses import dataclass

import torch

from lfcore.core import data


def pixels(images: torch.Tensor) -> torch.Tensor:
    """Images in [0, 1]: uint8 ones divided by 255, and all others as they are."""
    return images.float() * (1 / 255) if images.dtype == torch.uint8 else images  # a GPU's division rounds otherwise


@dataclass(frozen=True)
class Examples:
    """Images (n, c, h, w), in [0, 1] or uint8, and labels (n,), on one device."""

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows) -> "Examples":
        """Those in `rows`: a slice, numbers, or a bool for each."""
        return Examples(self.images[rows], self.labels[rows])

    def __add__(self, other: "Examples") -> "Examples":
        pair = (self.images, other.images)
        if pair[0].dtype != pair[1].dtype:
            pair = [pixels(images) for images in pair]
        return Examples(torch.cat([*pair]), torch.cat([self.labels, other.labels]))


def in_pixels(examples: Examples) -> Examples:
    """The same examples with images in [0, 1], for arithmetic with pixels."""
    return Examples(pixels(examples.images), examples.labels)


def choose(dataset: data.Data, rows, device: str) -> Examples:
    """The examples in these rows of the data set, as tensors on `device`."""
    return Examples(
        torch.from_numpy(dataset.images[rows]).to(device), torch.from_numpy(dataset.labels[rows]).to(device)
    )

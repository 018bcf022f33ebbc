"""Random views of images, a batch at once on the images' device, and the same bits on every device."""

import torch

MARGIN = 4
"""Pixels that a crop moves at most, as in 2605.31317's code: RandomCrop(32, padding=4)."""


def draw_views(n: int, generator: torch.Generator) -> torch.Tensor:
    """For each of n images how far down and across to crop, 0 to 2 MARGIN, and whether to mirror it: (3, n) int64."""
    shifts = torch.randint(2 * MARGIN + 1, (2, n), generator=generator)
    return torch.cat([shifts, torch.randint(2, (1, n), generator=generator)])


def padded(images: torch.Tensor) -> torch.Tensor:
    """The images with MARGIN zeros on each side, as `crop_flip` takes them."""
    return torch.nn.functional.pad(images, [MARGIN] * 4)


def crop_flip(images: torch.Tensor, rows: torch.Tensor, down, across, flip) -> torch.Tensor:
    """The images in `rows` as `draw_views` says: torchvision's RandomCrop and RandomHorizontalFlip.

    images: all of them, `padded`, (n, c, h + 2 MARGIN, w + 2 MARGIN); the rest: (m,) each.
    Returns (m, c, h, w).
    """
    channels, height, width = images.shape[1], *(size - 2 * MARGIN for size in images.shape[2:])
    places = torch.arange(max(channels, height, width), device=images.device)
    x = torch.where(flip[:, None] > 0, width - 1 - places[:width], places[:width]) + across[:, None]
    y = places[:height] + down[:, None]
    return images[rows[:, None, None, None], places[:channels, None, None], y[:, None, :, None], x[:, None, None, :]]

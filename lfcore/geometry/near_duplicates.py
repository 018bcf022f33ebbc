"""Near-duplicates: made by masking blocks of pixels, or found in real data.

Xu et al., Forgetting Similar Samples, 2601.06938: target images are cut into blocks of b x b pixels, and copies are
made by setting the pixels of a random fraction r of the blocks to 0. Values of b and r are not public; ours are in the
config. The share of pixels that a copy really changes is smaller than r, since many pixels are 0 already: `changed`.
Finding near-duplicates in real data, and both notions of near, are ours.
"""

import numpy as np

from lfcore.core.errors import InputError
from lfcore.core.seeds import number
from lfcore.geometry.similarity import unit


def blocks(height: int, width: int, block: int) -> np.ndarray:
    """The number, from 0, of the block that each pixel is in, (height, width); blocks at the far edges may be cut."""
    columns = -(-width // block)
    return (np.arange(height) // block)[:, None] * columns + np.arange(width) // block


def mask(images: np.ndarray, *, block: int, share: float, copies: int, seed: int) -> np.ndarray:
    """Masked copies of each image, (n, copies, c, h, w) from (n, c, h, w).

    share: the fraction r, in [0, 1), of blocks whose pixels become 0, in all channels, rounded to whole blocks; one
    that rounds to none, or to all, is an InputError. share 0 gives exact duplicates.
    Draws are nested: the first copies of a larger number are those of a smaller one, and a larger share masks the
    blocks of a smaller one and more, so that conditions differ in nothing else.
    """
    if copies < 0 or block < 1 or not 0 <= share < 1:
        raise InputError(f"Copies need copies >= 0, block >= 1, 0 <= share < 1, not {copies}, {block}, {share}.")
    n, _, height, width = images.shape
    number_of = blocks(height, width, block)
    count = int(number_of[-1, -1]) + 1
    masked = int(np.floor(share * count + 0.5))
    if masked == count or (share > 0) != (masked > 0):
        raise InputError(f"A share of {share} of {count} blocks is {masked} blocks: change share or block.")
    result = np.repeat(images[:, None], copies, axis=1)
    for copy in range(copies):
        draw = np.random.default_rng(number(seed, f"copies block {block}", f"copy {copy}"))
        ranks = draw.random((n, count)).argsort(axis=1).argsort(axis=1)
        hidden = (ranks < masked)[:, number_of]  # (n, height, width)
        result[:, copy] = np.where(hidden[:, None], 0, images)
    return result


def changed(images: np.ndarray, copies: np.ndarray) -> float:
    """The share of pixels, in [0, 1], whose value differs in any channel. (n, c, h, w) and (n, m, c, h, w); m > 0."""
    return float((copies != images[:, None]).any(axis=2).mean())


def nearness(features: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The largest cosine of each row of `features` (n, width) with any row of `targets` (m, width), m >= 1; (n,)."""
    return (unit(features) @ unit(targets).T).max(axis=1)


def pairs(features: np.ndarray, count: int, chunk: int = 1024) -> tuple[np.ndarray, np.ndarray]:
    """The `count` nearest pairs of rows that are each other's nearest neighbour by cosine.

    features: (n, width), n >= 2. Returns the pairs, (count, 2), the lower row first, and their cosines, (count,), the
    nearest pair first. No row is in two pairs. InputError if there are fewer such pairs. Memory: chunk x n numbers.
    """
    directions = unit(features)
    nearest, cosines = np.empty(len(features), dtype=np.int64), np.empty(len(features))
    for start in range(0, len(features), chunk):
        rows = np.arange(start, min(start + chunk, len(features)))
        products = directions[rows] @ directions.T
        products[np.arange(len(rows)), rows] = -np.inf
        nearest[rows] = products.argmax(axis=1)
        cosines[rows] = products.max(axis=1)
    first = np.flatnonzero((nearest[nearest] == np.arange(len(features))) & (np.arange(len(features)) < nearest))
    if len(first) < count:
        raise InputError(f"There are {len(first)} pairs of mutual nearest neighbours, not {count}: ask for fewer.")
    order = first[np.argsort(-cosines[first], kind="stable")][:count]
    return np.stack([order, nearest[order]], axis=1), cosines[order]


def exact(images: np.ndarray) -> int:
    """How many images equal an earlier one, pixel by pixel. (n, c, h, w)."""
    return len(images) - len(np.unique(images.reshape(len(images), -1), axis=0))

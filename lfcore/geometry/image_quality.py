"""How alike two pictures are: PSNR, SSIM and distance. Images are (n, channels, height, width)."""

import numpy as np
from scipy.ndimage import correlate1d


def psnr(images: np.ndarray, others: np.ndarray, peak: float = 1.0) -> np.ndarray:
    """Peak signal-to-noise ratio, 10 log10(peak^2 / mean squared error), in dB, (n,). peak: the range of a pixel."""
    error = ((images.astype(np.float64) - others) ** 2).mean(axis=(1, 2, 3))
    with np.errstate(divide="ignore"):
        return 10 * np.log10(peak**2 / error)


def window(height: int, width: int, *, size: int = 11, sigma: float = 1.5) -> np.ndarray:
    """Weights of a Gaussian window of `size` pixels, or of the largest odd number that fits the image, adding to 1."""
    half = (min(size, height, width) - 1) // 2
    weights = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma) ** 2)
    return weights / weights.sum()


def gaussian_ssim(images: np.ndarray, others: np.ndarray, peak: float = 1.0) -> np.ndarray:
    """Mean structural similarity, in [-1, 1], (n,): Wang et al., 2004 (doi:10.1109/TIP.2003.819861), eq. 13 and 17.

    Gaussian window of 11x11 pixels with standard deviation 1.5, wherever all of it is in the image, K1 = 0.01 and
    K2 = 0.03; averaged over channels. Ours: an image of fewer than 11 pixels gets a smaller window (7x7 for 8x8).
    """
    x, y = images.astype(np.float64), others.astype(np.float64)
    weights = window(*x.shape[2:])
    half = len(weights) // 2

    def mean(values):
        for axis in (2, 3):
            values = correlate1d(values, weights, axis=axis)
        return values[:, :, half : values.shape[2] - half, half : values.shape[3] - half]

    mx, my = mean(x), mean(y)
    vx, vy, xy = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    values = (2 * mx * my + c1) * (2 * xy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return values.mean(axis=(1, 2, 3))


def distances(images: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Squared Euclidean distance of each of `images` (n, …) to each of `others` (m, …), (n, m)."""
    one, other = (part.reshape(len(part), -1).astype(np.float64) for part in (images, others))
    return ((one[:, None] - other[None]) ** 2).sum(axis=2)

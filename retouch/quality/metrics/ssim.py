"""SSIM: the structural similarity of two pictures.

Wang, Bovik, Sheikh and Simoncelli, "Image Quality Assessment: From Error Visibility to Structural
Similarity", IEEE Transactions on Image Processing 2004: of the luma, in Gaussian windows of 11 × 11
with a standard deviation of 1.5, with K1 = 0.01 and K2 = 0.03."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from retouch.imaging.luma import luma

SIDE = 11  # of a window, in pixels
DEVIATION = 1.5
C1 = (0.01 * 255) ** 2
C2 = (0.03 * 255) ** 2


def ssim(first: np.ndarray, second: np.ndarray, counted: np.ndarray | None = None) -> float | None:
    """Mean over the windows of two pictures uint8 [H, W, 3], -1 to 1; 1 for equal ones. Of
    `counted` bool [H, W] all pixels of a window must be True. None where there is no such window,
    as in pictures with a side below 11."""
    if min(first.shape[:2]) < SIDE:
        return None
    values = ssim_map(luma(first), luma(second))
    if counted is None:
        return float(values.mean())
    clear = _clear_windows(counted)
    return float(values[clear].mean()) if clear.any() else None


def ssim_map(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Of every window of two grey pictures [H, W] in levels of 0 to 255, float64 [H-10, W-10]."""
    pair = [grey.astype(np.float64) for grey in (first, second)]
    means = [_weighted(grey) for grey in pair]
    product = means[0] * means[1]
    squares = means[0] ** 2 + means[1] ** 2
    variances = sum(_weighted(grey**2) for grey in pair) - squares
    covariance = _weighted(pair[0] * pair[1]) - product
    return ((2 * product + C1) * (2 * covariance + C2)) / ((squares + C1) * (variances + C2))


def _weighted(grey: np.ndarray) -> np.ndarray:
    """Means under the Gaussian of every window, [H-10, W-10]."""
    across = sliding_window_view(grey, SIDE, axis=1) @ _WEIGHTS
    return sliding_window_view(across, SIDE, axis=0) @ _WEIGHTS


def _clear_windows(counted: np.ndarray) -> np.ndarray:
    """Windows whose pixels are all counted, bool [H-10, W-10]."""
    sums = np.pad(np.cumsum(np.cumsum(counted, 0, dtype=np.int64), 1), ((1, 0), (1, 0)))
    boxes = sums[SIDE:, SIDE:] - sums[:-SIDE, SIDE:] - sums[SIDE:, :-SIDE] + sums[:-SIDE, :-SIDE]
    return boxes == SIDE * SIDE


def _gaussian() -> np.ndarray:
    weights = np.exp(-0.5 * ((np.arange(SIDE) - SIDE // 2) / DEVIATION) ** 2)
    return weights / weights.sum()


_WEIGHTS = _gaussian()

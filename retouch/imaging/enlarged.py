"""Small pictures enlarged row by row, so that a large one is never held in floats."""

from __future__ import annotations

import numpy as np
from PIL import Image

CUBIC = -0.5  # the slope of Pillow's bicubic kernel


class Enlarged:
    """Planes float32 [h, w, 1 or 3] at a larger `size` (height, width), bicubic or bilinear; those
    of one plane are repeated for the three colours."""

    def __init__(self, planes: np.ndarray, size: tuple[int, int], is_smooth: bool = False):
        self._planes = planes
        self._size = size
        self._reach = 1 if is_smooth else 2
        self._by = Image.Resampling.BILINEAR if is_smooth else Image.Resampling.BICUBIC

    def rows(self, rows: slice) -> np.ndarray:
        """float32 [n, 3 W] of the n large `rows`."""
        weights, used = self._weights(rows.start, rows.stop)
        return weights @ self._wide(self._planes[used])

    def rows_or_none(self, rows: slice) -> np.ndarray | None:
        """The same, None where all are zero."""
        _, used = self._weights(rows.start, rows.stop)
        return self.rows(rows) if self._planes[used].any() else None

    def _weights(self, top: int, bottom: int) -> tuple[np.ndarray, slice]:
        """The weights [n, m] of the m small rows that n large ones need, and which they are."""
        height = len(self._planes)
        centres = (np.arange(top, bottom) + 0.5) * height / self._size[0] - 0.5
        before = np.floor(centres).astype(int)
        taps = range(1 - self._reach, 1 + self._reach)
        first = max(0, before[0] + taps[0])
        last = min(height, before[-1] + taps[-1] + 1)
        weights = np.zeros((bottom - top, last - first), np.float32)
        row = np.arange(bottom - top)
        for tap in taps:
            small_row = (before + tap).clip(first, last - 1) - first
            weights[row, small_row] += _kernel(np.abs(centres - before - tap), self._reach)
        return weights, slice(first, last)

    def _wide(self, used: np.ndarray) -> np.ndarray:
        """Rows [n, w, 1 or 3] at the large width, [n, 3 W]."""
        width = self._size[1]
        planes = [
            np.asarray(Image.fromarray(plane).resize((width, len(used)), self._by))
            for plane in np.ascontiguousarray(np.moveaxis(used, 2, 0))
        ]
        wide = np.stack(planes, -1)
        if wide.shape[2] == 1:
            wide = np.repeat(wide, 3, 2)
        return wide.reshape(len(used), 3 * width)


def _kernel(distance: np.ndarray, reach: int) -> np.ndarray:
    """The linear kernel, or the cubic one of Keys (1981), at distances up to `reach`."""
    if reach == 1:
        return 1 - distance
    inner = ((CUBIC + 2) * distance - (CUBIC + 3)) * distance**2 + 1
    outer = CUBIC * (((distance - 5) * distance + 8) * distance - 4)
    return np.where(distance <= 1, inner, outer)

"""CIE L*a*b* of sRGB pixels (IEC 61966-2-1; CIE 15:2018), under the white D65 of sRGB itself."""

from __future__ import annotations

import numpy as np

# linear sRGB to XYZ, each row divided by the white's X, Y or Z
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
RELATIVE = (TO_XYZ / TO_XYZ.sum(1, keepdims=True)).T
EPSILON = (6 / 29) ** 3  # below it the cube root's tangent is used
SLOPE = (29 / 6) ** 2 / 3


def lab_of(pixels: np.ndarray) -> np.ndarray:
    """uint8 [..., 3] → float64 [..., 3]: L* from 0 to 100, a* and b*."""
    relative = _LINEAR[pixels] @ RELATIVE
    roots = np.where(relative > EPSILON, np.cbrt(relative), SLOPE * relative + 4 / 29)
    x, y, z = np.moveaxis(roots, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def _linear() -> np.ndarray:
    """Light of every level, [256]."""
    levels = np.arange(256) / 255
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


_LINEAR = _linear()

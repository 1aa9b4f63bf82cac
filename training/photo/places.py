"""Where an operation applies: weights float32 [H, W] in 0..1 of a photograph's pixels."""

import numpy as np

from retouch.families.instructx.picture_parts import CENTER
from retouch.imaging.luma import luma
from training.photo.colours import smoothstep, weight
from training.vocabulary import NONE

FEATHER = 0.04  # half the width of a border, as a share of the side
DARK = 0.25, 0.42  # luma
BRIGHT = 0.58, 0.75
# the ellipse of the center in shares of the half sides: whole within the first, none past the last
ELLIPSE = 0.50, CENTER
LEAST = 0.02  # a weight below this changes nothing


def weights(pixels: np.ndarray, where: str, colour: str = NONE) -> np.ndarray:
    """Of the pixels float32 [H, W, 3] that an operation shall change. `colour` is the colour of
    "colour parts" and "other colours"."""
    if where == NONE:
        return np.ones(pixels.shape[:2], np.float32)
    if where in ("dark parts", "bright parts"):
        light = luma(pixels)
        return 1 - smoothstep(*DARK, light) if where == "dark parts" else smoothstep(*BRIGHT, light)
    if where == "colour parts":
        share = weight(pixels, colour)
    elif where == "other colours":
        share = 1 - weight(pixels, colour)
    else:
        share = _by_position(where, *pixels.shape[:2])
    return np.where(share < LEAST, 0, share).astype(np.float32)


def _by_position(where: str, height: int, width: int) -> np.ndarray:
    x = (np.arange(width, dtype=np.float32) + 0.5) / width
    y = (np.arange(height, dtype=np.float32)[:, None] + 0.5) / height
    if where in ("center", "edges"):
        radius = np.hypot(2 * x - 1, 2 * y - 1)
        outside = smoothstep(*ELLIPSE, radius)
        return outside if where == "edges" else 1 - outside
    share = np.ones((height, width), np.float32)
    for word, axis, sign in (("left", x, -1), ("right", x, 1), ("top", y, -1), ("bottom", y, 1)):
        if word in where.split():
            share = share * smoothstep(-FEATHER, FEATHER, sign * (axis - 0.5))
    return share

"""The painted layers as a mask for REGION."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from retouch.imaging import images

OPAQUE = 128  # of 255; the edge of a brush stroke is half transparent


def is_painted(layers: Sequence[np.ndarray]) -> bool:
    """Whether a layer has a stroke. Layers are as in `mask_file`."""
    return any((layer[:, :, 3] >= OPAQUE).any() for layer in layers)


def mask_file(layers: Sequence[np.ndarray], size: tuple[int, int]) -> bytes:
    """A PNG of `size` (height, width), white where a layer is painted.

    Layers are uint8 [h, w, 4] of equal size, which differs from `size` if the canvas was scaled."""
    white = (
        np.logical_or.reduce([layer[:, :, 3] >= OPAQUE for layer in layers]).astype(np.uint8) * 255
    )
    if white.shape != tuple(size):
        white = np.asarray(
            Image.fromarray(white).resize((size[1], size[0]), Image.Resampling.NEAREST)
        )
    return images.encode(white)

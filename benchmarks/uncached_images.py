"""Images that no cache has seen, so that caches do not help a benchmark."""

from __future__ import annotations

import numpy as np

from retouch.imaging import images


def unseen(pixels: np.ndarray, number: int) -> bytes:
    """A picture uint8 [H, W, 3] as a PNG file with a pixel that is unique for each number below
    2^24."""
    pixels = pixels.copy()
    pixels[0, 0] = number % 256, number // 256 % 256, number // 65536
    return images.encode(pixels)

"""Whether an answer looks like a picture, whatever was asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retouch.quality.metrics import pictures
from retouch.quality.metrics.borders import seams, tiles
from retouch.quality.metrics.spectrum import SpectrumChange, spectrum_change

BLOCK = 8  # pixels: the side of a block that may be flat
FLAT = 2  # grey levels: a flat block's channels differ by less
WIDE = 0.5  # of a block: from this share on it is of the region


@dataclass(frozen=True)
class Plausibility:
    """Faults of an answer, and None where the region is too small to tell by:

    - `flat`: share of the region's blocks of 8 × 8 that have become one colour, 0 to 1
    - `saturated`: share of the region's pixels with a channel that has come to 0 or 255, less those
      that have left them, -1 to 1
    - `tiles`: steps on a grid of 8, 16 or 32 pixels in grey levels, more than in the source
    - `seams`: steps across the region's border in grey levels, more than in the source
    - `spectrum`: detail that the region has gained or lost"""

    flat: float | None
    saturated: float | None
    tiles: float | None
    seams: float | None
    spectrum: SpectrumChange | None


def plausibility(source: np.ndarray, answer: np.ndarray, region: np.ndarray) -> Plausibility:
    """The faults of `answer` against `source`, uint8 [H, W, 3] both, edited in `region` bool
    [H, W].

    ValueError where the arrays do not fit each other."""
    pictures.check(source, answer, region)
    return Plausibility(
        flat_share(source, answer, region),
        _saturation(answer, region) - _saturation(source, region) if region.any() else None,
        tiles(source, answer),
        seams(source, answer, region),
        spectrum_change(source, answer, region),
    )


def invalid_share(values: np.ndarray) -> float:
    """Share of a floating-point picture's values, any shape, that are NaN or infinite; 0 for an
    empty one. To be asked before it is converted to levels, which hides them."""
    return float(1 - np.isfinite(values).mean()) if values.size else 0.0


def flat_share(source: np.ndarray, answer: np.ndarray, region: np.ndarray) -> float | None:
    """Share of the blocks that lie mostly in `region` and are flat in the answer but not in the
    source. None where there is no such block."""
    blocks = _blocks(region.astype(np.float32)[:, :, None]).mean((1, 3))[..., 0] >= WIDE
    if not blocks.any():
        return None
    has_become = _is_flat(answer) & ~_is_flat(source)
    return float(has_become[blocks].mean())


def _is_flat(pixels: np.ndarray) -> np.ndarray:
    """Of every block, bool [H/8, W/8]."""
    blocks = _blocks(pixels)
    return (blocks.max((1, 3)) - blocks.min((1, 3)) < FLAT).all(-1)


def _blocks(channels: np.ndarray) -> np.ndarray:
    """Whole blocks of [H, W, C], as [H/8, 8, W/8, 8, C]."""
    rows, columns = (side // BLOCK for side in channels.shape[:2])
    whole = channels[: rows * BLOCK, : columns * BLOCK]
    return whole.reshape(rows, BLOCK, columns, BLOCK, channels.shape[2])


def _saturation(pixels: np.ndarray, region: np.ndarray) -> float:
    inside = pixels[region]
    return float(((inside == 0) | (inside == 255)).any(-1).mean())

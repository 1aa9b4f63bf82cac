"""Whether an edit has kept what it should not change: the pixels outside its region."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from retouch.imaging.drift import SIDE, SMALLEST, Compared, Shift, measure
from retouch.quality.metrics import pictures
from retouch.quality.metrics.ssim import ssim

WHOLE = (slice(None), slice(None))

# of two pictures uint8 [H, W, 3]: 0 for equal ones
Distance = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Appearance:
    """Outside of the region, and None where a measure has no pixels to tell by:

    - `change`: mean absolute change of a channel, 0 to 255 grey levels
    - `ssim`: -1 to 1, over windows that lie wholly outside; 1 where nothing has changed
    - `shift`: (right, down) of the answer against the source in pixels, by the largest band above,
      below or beside the region; where none is wide enough, by tiles outside of it, or by all
    - `lpips`: 0 or more, of the whole picture with the source's pixels inside the region; None
      without a distance"""

    change: float | None
    ssim: float | None
    shift: Shift | None
    lpips: float | None


def appearance(
    source: np.ndarray,
    answer: np.ndarray,
    region: np.ndarray,
    distance: Distance | None = None,
) -> Appearance:
    """How well `answer` has kept `source`, uint8 [H, W, 3] both, outside of `region` bool [H, W].
    `distance` is LPIPS with weights of the caller's.

    ValueError where the arrays do not fit each other, and what `distance` raises."""
    pictures.check(source, answer, region)
    outside = ~region
    shift = _shift(source, answer, region)
    if not outside.any():
        return Appearance(None, None, shift, None)
    moved = np.abs(source[outside].astype(np.int16) - answer[outside])
    return Appearance(
        float(moved.mean()),
        ssim(source, answer, outside),
        shift,
        None if distance is None else distance(source, _restored(source, answer, region)),
    )


def _shift(source: np.ndarray, answer: np.ndarray, region: np.ndarray) -> Shift | None:
    bands = [band for band in _bands(region) if _is_wide_enough(region[band].shape)]
    band = max(bands, key=lambda one: region[one].size, default=WHOLE)
    return measure(Compared.of(source[band], answer[band], region[band])).shift


def _bands(region: np.ndarray) -> list[tuple[slice, slice]]:
    """The parts of the picture above, below, left and right of the region's box."""
    rows, columns = (np.flatnonzero(region.any(axis)) for axis in (1, 0))
    if not len(rows):
        return []
    whole = slice(None)
    vertical = slice(0, int(rows[0])), slice(int(rows[-1]) + 1, None)
    horizontal = slice(0, int(columns[0])), slice(int(columns[-1]) + 1, None)
    return [(part, whole) for part in vertical] + [(whole, part) for part in horizontal]


def _is_wide_enough(shape: tuple[int, ...]) -> bool:
    """Also at the size at which pictures are compared."""
    return min(shape) >= SMALLEST * max(1.0, max(shape) / SIDE)


def _restored(source: np.ndarray, answer: np.ndarray, region: np.ndarray) -> np.ndarray:
    """The answer with the source's pixels in the region."""
    return np.where(region[:, :, None], source, answer)

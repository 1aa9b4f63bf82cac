"""Whether an edit has kept what it should not change: the pixels outside its region."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from retouch.imaging.drift import Compared, Shift, measure
from retouch.quality import pictures
from retouch.quality.ssim import ssim

# of two pictures uint8 [H, W, 3]: 0 for equal ones
Distance = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Appearance:
    """Outside of the region, and None where a measure has no pixels to tell by:

    - `change`: mean absolute change of a channel, 0 to 255 grey levels
    - `ssim`: -1 to 1, over windows that lie wholly outside; 1 where nothing has changed
    - `shift`: (right, down) of the answer against the source in pixels, up to a quarter of 128 of
      them; of the whole picture where there is no room outside
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
    shift = measure(Compared.of(source, answer, region)).shift
    if not outside.any():
        return Appearance(None, None, shift, None)
    moved = np.abs(source[outside].astype(np.int16) - answer[outside])
    return Appearance(
        float(moved.mean()),
        ssim(source, answer, outside),
        shift,
        None if distance is None else distance(source, _restored(source, answer, region)),
    )


def _restored(source: np.ndarray, answer: np.ndarray, region: np.ndarray) -> np.ndarray:
    """The answer with the source's pixels in the region."""
    return np.where(region[:, :, None], source, answer)

"""Whether an edit of a photograph succeeded, compared with the exact result.

Inside the change the mean difference of colours (CIEDE2000) has to be at most 4. Outside the
answer's own region no pixel may differ from the source's. Where an edit keeps the content, the
answer has to keep its detail."""

from dataclasses import dataclass

import cv2
import numpy as np
import pyvips

from retouch.imaging.luma import luma
from training.example import changed
from training.vocabulary import DETAIL_OPS

LARGEST = 4.0  # mean colour difference inside, in units of CIEDE2000
LEAST_DETAIL = 0.95  # of the exact result's gradient energy
# operations after which the gradients are others than the source's content has
REDRAWN = (*DETAIL_OPS, "posterise")


@dataclass(frozen=True)
class PhotoJudgement:
    """Quality of one edit of a photograph.

    `difference` is the mean CIEDE2000 inside the change, `unchanged` that of the source itself.
    `outside` counts pixels out of the region that moved. `detail` is the answer's gradient energy
    as a share of the exact result's; None where the edit redraws the content."""

    difference: float
    unchanged: float
    outside: int
    detail: float | None

    @property
    def success(self) -> bool:
        return (
            self.difference <= LARGEST
            and self.outside == 0
            and (self.detail is None or self.detail >= LEAST_DETAIL)
        )


def judge_photo(
    source: np.ndarray,
    target: np.ndarray,
    answer: np.ndarray,
    region: np.ndarray | None = None,
    redrawn: bool = False,
) -> PhotoJudgement:
    """Judge `answer`; pictures are uint8 [H, W, 3], `region` bool [H, W] is where the answer may
    differ. With `redrawn` the detail does not count."""
    inside = changed(source, target)
    moved = (source != answer).any(-1)
    outside = int((moved & ~region).sum()) if region is not None else 0
    detail = None if redrawn else _energy(answer) / max(_energy(target), 1e-6)
    return PhotoJudgement(
        colour_difference(answer, target, inside),
        colour_difference(source, target, inside),
        outside,
        detail,
    )


def colour_difference(picture: np.ndarray, target: np.ndarray, inside: np.ndarray) -> float:
    """Mean CIEDE2000 over the pixels `inside` bool [H, W] of two pictures uint8 [H, W, 3]; 0 where
    there are none."""
    if not inside.any():
        return 0.0
    first, second = (_lab(pixels[inside][None]) for pixels in (picture, target))
    return float(first.dE00(second).numpy().mean())


def _lab(pixels: np.ndarray) -> pyvips.Image:
    """CIE Lab of sRGB pixels uint8 [H, W, 3]."""
    return pyvips.Image.new_from_array(pixels, interpretation="srgb").colourspace("lab")


def _energy(pixels: np.ndarray) -> float:
    """Mean magnitude of the gradient of the luma."""
    grey = luma(pixels.astype(np.float32))
    across = cv2.Sobel(grey, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    return float(np.hypot(across, down).mean())

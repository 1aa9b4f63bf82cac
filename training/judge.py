"""Whether an edit succeeded, compared with the exact result.

A pixel is right when its nearest palette colour is that of the exact result. Blended pixels at the
edge of a shape have no palette colour and do not count. The strict rule also requires that all
pixels outside the change, edges included, keep their values."""

from dataclasses import dataclass

import numpy as np

from retouch.api.geometry import KEEP_BELOW
from training.render import Drawing, nearest_label

VISIBLE = 12  # grey levels (0 to 255): pixels with a larger difference have to change
INSIDE = 0.90
OUTSIDE = 0.97  # shares of pixels that must be right


@dataclass(frozen=True)
class Judgement:
    """Quality of one edit.

    `inside` and `outside` are shares of right pixels in the area to change and outside it. `kept`
    is the share of outside pixels that differ by less than KEEP_BELOW. `drift` is their mean
    difference in grey levels."""

    inside: float
    outside: float
    kept: float
    drift: float

    @property
    def success(self) -> bool:
        return self.inside >= INSIDE and self.outside >= OUTSIDE

    @property
    def strict(self) -> bool:
        return self.inside >= INSIDE and self.kept >= OUTSIDE


def judge(source: Drawing, target: Drawing, answer: np.ndarray) -> Judgement:
    """Judge the edited image `answer`, uint8 [H, W, 3]."""
    changed = _distance(source.pixels, target.pixels) > VISIBLE
    right = nearest_label(answer) == target.labels
    moved = _distance(source.pixels, answer)[~changed]
    return Judgement(
        _mean(right[changed & ~target.edges], 1),
        _mean(right[~changed & ~target.edges], 1),
        _mean(moved < KEEP_BELOW, 1),
        _mean(moved, 0),
    )


def _mean(values: np.ndarray, none: float) -> float:
    return float(values.mean()) if values.size else none


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(a.astype(np.int16) - b.astype(np.int16)).max(-1)

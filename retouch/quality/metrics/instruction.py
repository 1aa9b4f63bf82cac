"""Whether an edit has done what was asked, where its exact result is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retouch.imaging.colour_difference import mean_difference
from retouch.quality.metrics import pictures

LEAST_CHANGE = 2  # grey levels: a channel that differs by more is part of the change


@dataclass(frozen=True)
class TargetMatch:
    """Mean CIEDE2000 over the pixels that the instruction changes, 0 or more: `difference` of
    answer and target, and `unchanged` of source and target, which doing nothing would leave."""

    difference: float
    unchanged: float

    @property
    def progress(self) -> float:
        """1 where the answer is the target, 0 where it is as far from it as the source, below 0
        where it is farther."""
        return 1 - self.difference / self.unchanged


def match_target(source: np.ndarray, answer: np.ndarray, target: np.ndarray) -> TargetMatch | None:
    """How near `answer` is to `target` where that differs from `source`, uint8 [H, W, 3] each. None
    where it differs nowhere.

    ValueError where the arrays do not fit each other."""
    pictures.check(source, answer)
    pictures.check(source, target)
    change = np.abs(source.astype(np.int16) - target).max(-1) > LEAST_CHANGE
    if not change.any():
        return None
    return TargetMatch(
        mean_difference(answer, target, change), mean_difference(source, target, change)
    )

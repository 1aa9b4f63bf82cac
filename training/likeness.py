"""How alike two pictures of one scene are: what a narrow lane made, against what bf16 made."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

Distance = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Likeness:
    """`lpips` as `training.lpips` has it, `mse` the mean squared error in grey levels, over all
    pixels and colours."""

    lpips: float
    mse: float

    @property
    def identical(self) -> bool:
        return self.mse == 0


def likeness(picture: np.ndarray, reference: np.ndarray, lpips: Distance) -> Likeness:
    """Of two pictures uint8 [H, W, 3]."""
    error = np.subtract(picture, reference, dtype=np.float64)
    return Likeness(lpips(picture, reference), float(np.mean(error**2)))


def psnr(scenes: Iterable[Likeness]) -> float:
    """Decibels of the scenes' mean squared error: identical pictures, infinite each, count as an
    error of 0."""
    error = float(np.mean([each.mse for each in scenes]))
    return 10 * math.log10(255**2 / error) if error else math.inf

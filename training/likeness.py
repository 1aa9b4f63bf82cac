"""Likeness of two edits of one scene: a narrow lane's and that of bf16."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

Distance = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Likeness:
    """`lpips` is the distance of `training.lpips`. `mse` is the mean squared error in grey levels
    over all pixels and channels."""

    lpips: float
    mse: float

    @property
    def identical(self) -> bool:
        return self.mse == 0


def likeness(picture: np.ndarray, reference: np.ndarray, lpips: Distance) -> Likeness:
    """The likeness of two images uint8 [H, W, 3]."""
    error = np.subtract(picture, reference, dtype=np.float64)
    return Likeness(lpips(picture, reference), float(np.mean(error**2)))


def psnr(scenes: Iterable[Likeness]) -> float:
    """PSNR in decibels of the mean of the scenes' squared errors; infinite when all are 0."""
    error = float(np.mean([scene.mse for scene in scenes]))
    return 10 * math.log10(255**2 / error) if error else math.inf

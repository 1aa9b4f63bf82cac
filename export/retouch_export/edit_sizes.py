"""The sizes at which a family edits images, of every proportion that is accepted. numpy only."""

from __future__ import annotations

import math

import numpy as np

from retouch.api.limits import MAX_ASPECT, MAX_SIDE, MIN_SIDE
from retouch.families.base import Family, Size

PROPORTIONS = 1001  # tried between the narrowest and the widest
EVERY = 5  # of these proportions an image of every side is tried at
SIDES = 25  # tried between the shortest and the longest of an image's shorter sides


def edit_sizes(family: Family) -> list[Size]:
    """Sizes (height, width) that the family makes of images, the smallest and the largest among
    them, by their number of pixels."""
    sides = np.geomspace(MIN_SIDE, MAX_SIDE / MAX_ASPECT, SIDES)
    ratios = proportions()[::EVERY]
    shapes = {
        (round(side * max(1, 1 / ratio)), round(side * max(1, ratio)))
        for side in sides
        for ratio in ratios
    }
    return sorted({family.size(*shape) for shape in shapes}, key=math.prod)


def proportions() -> list[float]:
    """Widths by heights, from the narrowest image to the widest."""
    return np.geomspace(1 / MAX_ASPECT, MAX_ASPECT, PROPORTIONS).tolist()

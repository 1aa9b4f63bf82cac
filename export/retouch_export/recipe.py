"""How the FP4 lane is made from the checkpoint's weights. What each choice brings and costs, `make
ablation` shows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from retouch_export.ranges import Ranges


class Rounding(str, Enum):
    """How block scales and numbers of an NVFP4 weight are chosen."""

    NEAREST = "nearest"  # the scale that holds the block's largest number
    SEARCH = "search"  # of several scales, the one with the smallest squared error of the weight
    WEIGHTED = "weighted"  # the same, every input channel's error counting by its mean square
    FEEDBACK = "feedback"  # and columns make up for the errors of those before them

    @property
    def needs_products(self) -> bool:
        """Of the layer's input, beside its range."""
        return self in (Rounding.WEIGHTED, Rounding.FEEDBACK)


@dataclass(frozen=True)
class Recipe:
    """`tail` is the number of last blocks that stay FP8."""

    rounding: Rounding = Rounding.FEEDBACK
    tail: int = 1


def recipe_for(ranges: Ranges) -> Recipe:
    """The best that a calibration allows: a file holds ranges alone."""
    known = [bool(found.products) for modules in ranges.values() for found in modules.values()]
    return Recipe() if known and all(known) else Recipe(Rounding.SEARCH)

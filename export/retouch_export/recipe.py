"""How the FP4 lane is made from the checkpoint's weights. `make ablation` measures the choices."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from retouch_export.ranges import Ranges


class Rounding(str, Enum):
    """How block scales and values of an NVFP4 weight are chosen."""

    NEAREST = "nearest"  # the scale that holds the block's largest number
    SEARCH = "search"  # of several scales, the one with the smallest squared error of the weight
    WEIGHTED = "weighted"  # the same, with errors weighted by the mean square of the input channel
    FEEDBACK = "feedback"  # the same, and columns compensate the errors of earlier ones

    @property
    def needs_products(self) -> bool:
        """Whether it needs the products of the layer's input, not only its range."""
        return self in (Rounding.WEIGHTED, Rounding.FEEDBACK)


@dataclass(frozen=True)
class Recipe:
    """The choices for an FP4 lane. The last `tail` blocks stay FP8."""

    rounding: Rounding = Rounding.FEEDBACK
    tail: int = 1


def recipe_for(ranges: Ranges) -> Recipe:
    """The best recipe for a calibration. One from a file has ranges only."""
    known = [bool(range.products) for modules in ranges.values() for range in modules.values()]
    return Recipe() if known and all(known) else Recipe(Rounding.SEARCH)

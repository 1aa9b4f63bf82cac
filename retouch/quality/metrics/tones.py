"""Whether a retouched region has become what was asked, by a statistic that has to rise or fall.

This needs neither a parser nor the exact result: "brighter" must raise the mean luma, "blur" must
lower the gradients. It is necessary, not sufficient: any change in the direction passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from retouch.api.response import Operation
from retouch.quality.metrics import pictures
from retouch.quality.metrics import tone_statistics as statistics
from retouch.quality.metrics.colour_names import colour_in
from retouch.quality.metrics.tone_statistics import RegionView


@dataclass(frozen=True)
class ToneEffect:
    """A `statistic` of the region in the source (`before`) and in the answer (`after`). `change` is
    positive in the direction that was asked for, and followed from `least` on."""

    statistic: str
    before: float
    after: float
    change: float
    least: float

    @property
    def followed(self) -> bool:
        return self.change >= self.least


@dataclass(frozen=True)
class _Direction:
    """`measure` has to rise or fall by `least`. Where the source is nearer than that to `limit`,
    there is nothing to tell by."""

    measure: Callable[..., float | None]
    rises: bool
    least: float
    limit: float | None = None

    def effect(self, source: RegionView, answer: RegionView, *values: object) -> ToneEffect | None:
        before = self.measure(source, *values)
        after = self.measure(answer, *values)
        if before is None or after is None:
            return None
        if self.limit is not None and abs(self.limit - before) < self.least:
            return None
        change = after - before if self.rises else before - after
        return ToneEffect(self.measure.__name__, before, after, change, self.least)


_DIRECTIONS = {
    "brighter": _Direction(statistics.brightness, True, 1.5, 255),
    "darker": _Direction(statistics.brightness, False, 1.5, 0),
    "dusk": _Direction(statistics.brightness, False, 1.5, 0),
    "contrast": _Direction(statistics.contrast, True, 0.75),
    "flatten": _Direction(statistics.contrast, False, 0.75, 0),
    "fade": _Direction(statistics.contrast, False, 0.75, 0),
    "warmer": _Direction(statistics.warmth, True, 0.75),
    "cooler": _Direction(statistics.warmth, False, 0.75),
    "saturate": _Direction(statistics.chroma, True, 0.5),
    "mute": _Direction(statistics.chroma, False, 0.5, 0),
    "grey": _Direction(statistics.chroma_octaves, False, 1.0, np.log2(statistics.COLOURLESS)),
    "sepia": _Direction(statistics.sepia_share, True, 0.1, 1),
    "vignette": _Direction(statistics.rim_brightness, False, 2.0),
    "posterise": _Direction(statistics.entropy, False, 0.3, 0),
    "blur": _Direction(statistics.gradient_octaves, False, 0.1, np.log2(statistics.FAINT)),
    "sharpen": _Direction(statistics.gradient_octaves, True, 0.1),
    "pixelate": _Direction(statistics.evenness, True, 0.05, 1),
}
# the value of these names a colour
_COLOUR_DIRECTIONS = {
    "tint": _Direction(statistics.toned_as, True, 1.0),
    "recolour": _Direction(statistics.distance_from, False, 1.0, 0),
    "background": _Direction(statistics.distance_from, False, 1.0, 0),
}
_INVERSION = _Direction(statistics.likeness, False, 1.0)  # from 1 to 0 or less


def tone_effect(
    operation: Operation, source: np.ndarray, answer: np.ndarray, region: np.ndarray
) -> ToneEffect | None:
    """The effect of `operation` on `region` bool [H, W] of `source` and `answer`, uint8 [H, W, 3]
    both. None for operations without a direction, and where the source has no room for one, such as
    a white region that should become brighter.

    ValueError where the arrays do not fit each other."""
    pictures.check(source, answer, region)
    if not region.any():
        return None
    views = RegionView(source, region), RegionView(answer, region)
    if operation.op == "invert":
        return _INVERSION.effect(*views, views[0])
    if operation.op in _DIRECTIONS:
        return _DIRECTIONS[operation.op].effect(*views)
    colour = colour_in(operation.value)
    if operation.op in _COLOUR_DIRECTIONS and colour:
        return _COLOUR_DIRECTIONS[operation.op].effect(*views, colour)
    return None

"""Statistics of a picture's tones and detail inside a region.

All take a `RegionView` and return one number; None where its region has no pixels to tell by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from retouch.imaging.colour_difference import ciede2000
from retouch.imaging.lab import lab_of
from retouch.imaging.luma import luma
from retouch.quality.metrics.colour_names import lab_of_name

EVEN = 2.0  # grey levels: neighbours that differ by less look the same
FAINT = 0.25  # grey levels of gradient that even a flat picture counts as having
COLOURLESS = 0.5  # units of chroma that even a grey picture counts as having
CENTRE = (
    0.5  # squared distance from the centre, in half sides of the picture: below it is the middle
)
RIM = 1.0  # and above it the corners
SEPIA = 84.0  # degrees: the hue of sepia toning in a* and b*


@dataclass(frozen=True)
class RegionView:
    """`pixels` uint8 [H, W, 3] of a picture, and its `region` bool [H, W], in which some pixel is
    True."""

    pixels: np.ndarray
    region: np.ndarray

    @cached_property
    def lab(self) -> np.ndarray:
        """L*a*b* of the region's pixels, float64 [n, 3]."""
        return lab_of(self.pixels[self.region])

    @cached_property
    def grey(self) -> np.ndarray:
        """Luma of the picture in grey levels, float32 [H, W]."""
        return luma(self.pixels)

    @cached_property
    def steps(self) -> np.ndarray:
        """Absolute differences of luma of all neighbours that are both in the region, [n]."""
        across = np.abs(np.diff(self.grey, axis=1))[self.region[:, 1:] & self.region[:, :-1]]
        down = np.abs(np.diff(self.grey, axis=0))[self.region[1:] & self.region[:-1]]
        return np.concatenate([across, down])


def brightness(view: RegionView) -> float:
    """Mean luma, 0 to 255."""
    return float(view.grey[view.region].mean())


def contrast(view: RegionView) -> float:
    """Standard deviation of the luma, in grey levels."""
    return float(view.grey[view.region].std())


def warmth(view: RegionView) -> float:
    """Mean b*: yellow above 0, blue below."""
    return float(view.lab[:, 2].mean())


def chroma(view: RegionView) -> float:
    """Mean distance from grey in a* and b*."""
    return float(np.hypot(view.lab[:, 1], view.lab[:, 2]).mean())


def chroma_octaves(view: RegionView) -> float:
    """Base-2 logarithm of the mean chroma."""
    return float(np.log2(chroma(view) + COLOURLESS))


def gradient_octaves(view: RegionView) -> float | None:
    """Base-2 logarithm of the mean step between neighbours, in grey levels."""
    return float(np.log2(view.steps.mean() + FAINT)) if view.steps.size else None


def evenness(view: RegionView) -> float | None:
    """Share of neighbours that look the same, 0 to 1."""
    return float((view.steps < EVEN).mean()) if view.steps.size else None


def entropy(view: RegionView) -> float:
    """Mean entropy of a channel's levels, 0 to 8 bits."""
    channels = view.pixels[view.region].T
    return float(np.mean([_entropy(channel) for channel in channels]))


def rim_brightness(view: RegionView) -> float | None:
    """Mean luma in the corners less that in the middle of the picture, in grey levels."""
    height, width = view.region.shape
    y = np.linspace(-1, 1, height)[:, None]
    x = np.linspace(-1, 1, width)
    radius = x * x + y * y
    rim = view.grey[view.region & (radius > RIM)]
    centre = view.grey[view.region & (radius < CENTRE)]
    return float(rim.mean() - centre.mean()) if rim.size and centre.size else None


def sepia_share(view: RegionView) -> float:
    """Chroma towards the hue of sepia less that beside it, as a share of all: 1 where every colour
    is of that hue, about 0 for greys."""
    return toned(view, SEPIA) / (chroma(view) + COLOURLESS)


def toned_as(view: RegionView, colour: str) -> float:
    """`toned` towards the hue of a name in COLOURS."""
    _, a, b = lab_of_name(colour)
    return toned(view, float(np.degrees(np.arctan2(b, a))))


def toned(view: RegionView, hue: float) -> float:
    """Mean chroma towards `hue`, in degrees of a* and b*, less that beside it."""
    along = np.array([np.cos(np.radians(hue)), np.sin(np.radians(hue))])
    beside = np.array([-along[1], along[0]])
    colours = view.lab[:, 1:]
    return float((colours @ along - np.abs(colours @ beside)).mean())


def distance_from(view: RegionView, colour: str) -> float:
    """Mean CIEDE2000 from the middle of a name in COLOURS."""
    named = lab_of_name(colour)
    return float(ciede2000(view.lab, np.broadcast_to(named, view.lab.shape)).mean())


def likeness(view: RegionView, source: RegionView) -> float | None:
    """Correlation of the luma with the source's, -1 to 1; None where one of them is flat."""
    ours, theirs = (one.grey[view.region].astype(np.float64) for one in (view, source))
    if min(ours.std(), theirs.std()) < FAINT:
        return None
    return float(np.corrcoef(ours, theirs)[0, 1])


def _entropy(levels: np.ndarray) -> float:
    """Of uint8 [n], in bits."""
    counts = np.bincount(levels)
    shares = counts[counts > 0] / levels.size
    return float(-(shares * np.log2(shares)).sum())

"""Edges that lie where no content puts them: on a grid of tiles, and along a region's border.

Both are measured in the answer less what is measured in the source, in grey levels."""

from __future__ import annotations

import numpy as np

PERIODS = (8, 16, 32)  # pixels: sides of tiles, as of autoencoders, JPEG and tiled decoders
LEAST_EDGES = 5  # of a grid: of fewer, the two of a region's border could be half
NEAR = 4  # pixels on both sides of a border that its steps are compared with


def tiles(source: np.ndarray, answer: np.ndarray) -> float | None:
    """How much larger steps are on a grid that begins in the top left corner than beside it, in the
    answer more than in the source, for the period and direction where it is most; pictures uint8
    [H, W, 3]. About 0 without tiles. None where no grid has enough edges.

    As the blockiness of Wang, Bovik and Evans (2000), but by the median over a grid's edges, so
    that an edge of the content that lies on one counts little."""
    excess = [
        _grid_excess(after, period) - _grid_excess(before, period)
        for before, after in zip(_profiles(source), _profiles(answer))
        for period in PERIODS
        if (len(before) - 1) // period >= LEAST_EDGES
    ]
    return max(excess, default=None)


def seams(source: np.ndarray, answer: np.ndarray, region: np.ndarray) -> float | None:
    """How much larger steps across the border of `region` bool [H, W] are than those up to NEAR
    pixels from it, in the answer more than in the source; pictures uint8 [H, W, 3]. About 0 without
    seams. None where there is no border, or nothing beside it."""
    before = _border_excess(source, region)
    after = _border_excess(answer, region)
    return None if before is None or after is None else after - before


def _profiles(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean absolute step into every column but the first, and into every row, in grey levels."""
    across, down = (_steps(pixels, axis) for axis in (1, 0))
    return across.mean(0), down.mean(1)


def _steps(pixels: np.ndarray, axis: int) -> np.ndarray:
    """Absolute differences of neighbours, the mean of the channels."""
    wide = pixels.astype(np.int16)
    return np.abs(np.diff(wide, axis=axis)).mean(2)


def _grid_excess(profile: np.ndarray, period: int) -> float:
    """The median of a grid's steps, each less the mean of those on both sides of it."""
    edges = np.arange(period - 1, len(profile) - 1, period)
    return float(np.median(profile[edges] - (profile[edges - 1] + profile[edges + 1]) / 2))


def _border_excess(pixels: np.ndarray, region: np.ndarray) -> float | None:
    crossing: list[np.ndarray] = []
    beside: list[np.ndarray] = []
    for axis in (1, 0):
        steps = _steps(pixels, axis)
        on_border = np.diff(region, axis=axis)
        crossing.append(steps[on_border])
        beside.append(steps[_near(on_border, axis) & ~on_border])
    values = [np.concatenate(parts) for parts in (crossing, beside)]
    return float(values[0].mean() - values[1].mean()) if all(map(len, values)) else None


def _near(on_border: np.ndarray, axis: int) -> np.ndarray:
    """Steps along `axis` that are at most NEAR from one across the border."""
    near = on_border.copy()
    lines = np.moveaxis(near, axis, 0)
    border = np.moveaxis(on_border, axis, 0)
    for distance in range(1, NEAR + 1):
        lines[distance:] |= border[:-distance]
        lines[:-distance] |= border[distance:]
    return near

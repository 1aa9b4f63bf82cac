"""The region that an edit changes, where no parser says: from the clean image that an early step
predicts, against the source image.

The idea is RegionE's (arXiv 2510.25590), the rule is our own. How far the two lie apart differs by
checkpoint and picture, so that the threshold comes from the distances themselves. Where the rule is
not sure it finds no region."""

from __future__ import annotations

import numpy as np

from retouch.diffusion.region_buckets import with_neighbours

DEVIATIONS = 4.0  # above the median: robust standard deviations of unchanged cells
SEPARATION = 3.0  # at least, of the medians of changed and unchanged cells
LARGEST = 0.6  # share of the image, before its margin: more is an edit of the whole picture
SPECK = 0.02  # of the largest part: a smaller one is dropped, and one of a single cell
BINS = 64  # of Otsu's histogram


def decisive_step(steps: int) -> int:
    """The step after which the region is looked for: a quarter of all, rounded up."""
    return -(-steps // 4)


def find_region(clean: np.ndarray, source: np.ndarray, grid: tuple[int, int]) -> np.ndarray | None:
    """The cells that differ between tokens [N, D] of a `grid` (rows, columns), bool [N], with a
    margin of one cell. None where most cells differ, none does, or the two kinds lie close."""
    distance = np.sqrt(np.square(clean - source, dtype=np.float64).mean(1))
    level = np.log(distance + 1e-6)
    for threshold in (_outlier_threshold(level), _otsu_threshold(level)):
        changed = level > threshold
        if _is_clear(changed, level):
            parts = _without_specks(_closed(changed.reshape(grid)))
            return with_neighbours(parts).ravel()
    return None


def _outlier_threshold(level: np.ndarray) -> float:
    """For a small region: the median is that of unchanged cells."""
    middle = np.median(level)
    deviation = 1.4826 * np.median(np.abs(level - middle))
    return float(middle + max(DEVIATIONS * deviation, np.log(SEPARATION)))


def _otsu_threshold(level: np.ndarray) -> float:
    """For a large region: the threshold of the largest variance between both kinds (Otsu 1979)."""
    edges = np.linspace(level.min(), level.max(), BINS + 1)[1:-1]
    below = level[None] <= edges[:, None]
    share = below.mean(1)
    sums = (below * level).mean(1)
    variance = (share * level.mean() - sums) ** 2 / np.maximum(share * (1 - share), 1e-9)
    return float(edges[variance.argmax()])


def _is_clear(changed: np.ndarray, level: np.ndarray) -> bool:
    if not 0 < changed.mean() <= LARGEST:
        return False
    return np.median(level[changed]) - np.median(level[~changed]) >= np.log(SEPARATION)


def _closed(cells: np.ndarray) -> np.ndarray:
    """The cells [rows, columns] without gaps of one cell."""
    wide = with_neighbours(np.pad(cells, 1))
    return ~with_neighbours(~wide)[1:-1, 1:-1] | cells


def _without_specks(cells: np.ndarray) -> np.ndarray:
    """The cells [rows, columns] of the large connected parts."""
    parts = _parts(cells)
    sizes = np.bincount(parts.ravel(), minlength=2)
    sizes[0] = 0  # no part
    is_kept = sizes >= max(SPECK * sizes.max(), min(2, sizes.max()))
    is_kept[0] = False
    return is_kept[parts]


def _parts(cells: np.ndarray) -> np.ndarray:
    """A number above 0 for each connected part, 0 elsewhere, int [rows, columns]."""
    numbers = np.where(cells, np.arange(1, cells.size + 1).reshape(cells.shape), 0)
    while True:
        wide = np.pad(numbers, 1)
        rows, columns = cells.shape
        around = [wide[y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
        spread = np.where(cells, np.maximum.reduce(around), 0)
        if np.array_equal(spread, numbers):
            return numbers
        numbers = spread

"""Regions of few sizes: a region is rounded up to one of a small set of sizes by cells around it.

So edits of about one size share steps, and a GPU's plans and CUDA graphs meet few shapes."""

from __future__ import annotations

import numpy as np

# parts of 32: rounding adds at most a half, mostly a tenth
PARTS = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32)


def counts(cells: int) -> list[int]:
    """The sizes that a region of an image of `cells` is rounded up to, the smallest first."""
    return [-(-cells * part // PARTS[-1]) for part in PARTS]


def rounded(region: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """The region bool [N] of `grid` (rows, columns), grown to one of the sizes of `counts`. Cells
    around it are added ring by ring and row by row. An empty region stays empty."""
    size = (
        next(count for count in counts(region.size) if count >= region.sum()) if region.any() else 0
    )
    grown = region.reshape(grid)
    while (missing := size - int(grown.sum())) > 0:
        ring = np.flatnonzero(with_neighbours(grown) & ~grown)
        grown = grown.copy()
        grown.ravel()[ring[:missing]] = True
    return grown.ravel()


def with_neighbours(cells: np.ndarray) -> np.ndarray:
    """`cells` bool [rows, columns] and those that touch them with a side or a corner."""
    rows, columns = cells.shape
    wide = np.pad(cells, 1)
    return np.logical_or.reduce(
        [wide[y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
    )

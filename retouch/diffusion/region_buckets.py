"""Regions of few sizes: cells near a region are denoised with it until their number is one of a
small set, so that edits of about one size share their steps, and a GPU's plans and graphs meet
shapes they know."""

from __future__ import annotations

import numpy as np

PARTS = (
    2,
    3,
    4,
    5,
    6,
    8,
    10,
    12,
    16,
    20,
    24,
    32,
)  # of 32: at most half as much again, mostly a tenth


def counts(cells: int) -> list[int]:
    """The numbers of cells that a region of an image of so many is rounded up to, the smallest
    first."""
    return [-(-cells * part // PARTS[-1]) for part in PARTS]


def rounded(region: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """The region bool [N] of `grid` (rows, columns), and the cells around it, ring by ring and row
    by row, that make its number one of `counts`. Nothing stays nothing."""
    wanted = (
        next(count for count in counts(region.size) if count >= region.sum()) if region.any() else 0
    )
    grown = region.reshape(grid)
    while (missing := wanted - int(grown.sum())) > 0:
        ring = np.flatnonzero(_neighbours(grown) & ~grown)
        grown = grown.copy()
        grown.ravel()[ring[:missing]] = True
    return grown.ravel()


def _neighbours(cells: np.ndarray) -> np.ndarray:
    """Those that touch one of `cells` bool [rows, columns] with a side or a corner, and these
    themselves."""
    rows, columns = cells.shape
    wide = np.pad(cells, 1)
    return np.logical_or.reduce(
        [wide[y : y + rows, x : x + columns] for y in range(3) for x in range(3)]
    )

"""Regions are rounded up to few sizes, by the cells next to them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as some

from retouch.diffusion.region_buckets import counts, rounded

grids = some.sampled_from([(8, 8), (6, 10), (10, 6), (64, 64)])


@given(grids, some.floats(0, 1), some.integers(0, 99))
def test_a_region_grows_to_the_next_of_few_sizes(grid, share, seed):
    region = np.random.default_rng(seed).random(grid[0] * grid[1]) < share
    grown = rounded(region, grid)
    assert (grown | region).sum() == grown.sum(), "it keeps its cells"
    assert grown.sum() == (
        min(count for count in counts(region.size) if count >= region.sum()) if region.any() else 0
    )


@given(grids)
def test_the_sizes_are_few_and_near(grid):
    sizes = counts(grid[0] * grid[1])
    assert len(sizes) == 12 and sizes == sorted(set(sizes)) and sizes[-1] == grid[0] * grid[1]
    assert all(after <= 1.5 * before + 1 for before, after in zip(sizes, sizes[1:]))


def test_the_nearest_cells_come_first():
    region = np.zeros((8, 8), bool)
    region[2:5, 2:5] = True  # 9 cells, so one more
    grown = rounded(region.ravel(), (8, 8)).reshape(8, 8)
    assert grown.sum() == 10 and grown[1, 1]


def test_a_region_in_a_corner_and_one_of_a_cell():
    for cell in (0, 7, 63):
        region = np.zeros(64, bool)
        region[cell] = True
        assert rounded(region, (8, 8)).sum() == 4

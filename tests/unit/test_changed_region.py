"""The region that is looked for in an early step: by the rule alone, and in a denoiser's edit."""

from __future__ import annotations

import numpy as np
import pytest

from retouch.diffusion.changed_region import decisive_step, find_region
from retouch.diffusion.region_buckets import with_neighbours

GRID = 32, 48
CELLS = GRID[0] * GRID[1]
CHANNELS = 16


def box(top, left, bottom, right):
    region = np.zeros(GRID, bool)
    region[top:bottom, left:right] = True
    return region


def edited(region, change=3.0, noise=0.2, uneven=0.4, seed=0):
    """Tokens of a source image and of its edit, which differs everywhere a little: by `noise`, more
    in some cells than in others. In the region it differs by `change`."""
    rng = np.random.default_rng(seed)
    source = rng.standard_normal((region.size, CHANNELS))
    level = noise * np.exp(uneven * rng.standard_normal((region.size, 1)))
    change = np.where(region.reshape(-1, 1), change, level)
    return source + change * rng.standard_normal(source.shape), source


def grown(region, cells):
    """The region and all cells that are at most so many away."""
    for _ in range(cells):
        region = with_neighbours(region)
    return region


@pytest.mark.parametrize(
    "region",
    (
        box(10, 12, 20, 30),
        box(0, 0, 4, 4),
        box(0, 0, 32, 26),
        box(2, 2, 9, 9) | box(20, 30, 30, 44),
    ),
    ids=("middle", "corner", "half", "two parts"),
)
@pytest.mark.parametrize("noise", (0.05, 0.3))
def test_the_changed_cells_with_a_margin(region, noise):
    """None is missed, and none lies far from them."""
    cells = find_region(*edited(region, noise=noise), GRID)
    assert cells is not None
    cells = cells.reshape(GRID)
    assert cells[region].all() and not cells[~grown(region, 4)].any()


def test_specks_are_dropped_and_gaps_closed():
    region = box(10, 12, 22, 30)
    gap = box(15, 20, 16, 21)
    speck = box(30, 40, 31, 41)
    cells = find_region(*edited(region & ~gap | speck), GRID)
    assert cells is not None
    assert cells.reshape(GRID)[gap].all() and not cells.reshape(GRID)[speck].any()


@pytest.mark.parametrize(
    "region, change",
    (
        (box(0, 0, 32, 48), 3.0),
        (box(0, 0, 32, 40), 3.0),
        (box(10, 12, 20, 30), 0.3),
        (box(0, 0, 0, 0), 0.0),
    ),
    ids=("all", "most", "little", "nothing"),
)
def test_where_it_is_not_sure_there_is_no_region(region, change):
    for seed in range(5):
        assert find_region(*edited(region, change, seed=seed), GRID) is None


def test_equal_pictures_have_no_region():
    source = np.random.default_rng(0).standard_normal((CELLS, CHANNELS))
    assert find_region(source, source, GRID) is None


@pytest.mark.parametrize("steps, decisive", ((1, 1), (2, 1), (4, 1), (8, 2), (28, 7), (50, 13)))
def test_a_quarter_of_the_steps_decides(steps, decisive):
    assert decisive_step(steps) == decisive

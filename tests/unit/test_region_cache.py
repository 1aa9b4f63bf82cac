"""When a step is whole, when it keeps something for others, and when it runs on a region alone."""

from __future__ import annotations

import pytest

from retouch.diffusion.region_cache import RegionCache


def schedule(interval, steps):
    """A letter a step: whole, keeping or region."""
    cache = RegionCache(interval, steps)
    kinds = ""
    for done in range(steps):
        assert not (cache.keeps(done) and cache.serves(done))
        kinds += "k" if cache.keeps(done) else "r" if cache.serves(done) else "w"
    return kinds


@pytest.mark.parametrize(
    "interval, steps, kinds",
    (
        (0, 8, "wwwwwwww"),
        (1, 4, "wkrw"),
        (2, 4, "wkrr"),
        (2, 12, "wwwkrrkrrkrr"),
        (10, 12, "wwwkrrrrrrrr"),
        (3, 1, "w"),
        (3, 2, "ww"),
    ),
)
def test_a_schedule(interval, steps, kinds):
    """A last step is not followed by any, so that it keeps nothing."""
    assert schedule(interval, steps) == kinds

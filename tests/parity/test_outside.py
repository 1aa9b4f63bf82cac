"""The shipped checkpoint on held-out scenes: outside of its region no edit changes a bit, and a
region that is looked for costs no edit."""

from __future__ import annotations

import pytest

from benchmarks.regions import REGIONS, WatchedLoop, edit
from beside import REPOSITORY
from training.scenes import held_out

SCENES = 20


@pytest.fixture(scope="module")
def outcomes():
    loop = WatchedLoop(REPOSITORY)
    scenes = held_out(SCENES)
    return {
        region: [edit(loop, pair, region, seed) for seed, pair in enumerate(scenes)]
        for region in REGIONS
    }


@pytest.mark.parametrize("region", REGIONS)
def test_no_bit_changes_outside(outcomes, region):
    assert [scene.changed_bits for scene in outcomes[region]] == [0] * SCENES


def test_a_region_that_is_looked_for(outcomes):
    """It is narrower than the image for most local edits, and all of it for most backgrounds. One
    edit may come out otherwise than in all of the image."""
    pairs = list(zip(outcomes["find"], outcomes["full"]))
    assert sum(whole.success and not narrow.success for narrow, whole in pairs) <= 1
    is_narrow = {
        kind: [
            scene.share < 1 for scene in outcomes["find"] if (scene.kind == "background") == kind
        ]
        for kind in (True, False)
    }
    assert sum(is_narrow[False]) >= 0.7 * len(is_narrow[False])
    assert sum(is_narrow[True]) <= 1

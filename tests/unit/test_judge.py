"""When an edit succeeds, and when it does by the strict rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from retouch.api.geometry import KEEP_BELOW
from training.judge import judge
from training.render import Scene, Shape, render

CIRCLE = Shape("red", "circle", "large", 40, 40)
SCENE = Scene(128, 128, "blue", "plain", (CIRCLE,))


@pytest.fixture(scope="module")
def drawings():
    return render(SCENE), render(replace(SCENE, shapes=(replace(CIRCLE, colour="green"),)))


def moved(target, levels, rows):
    """The exact result with the first `rows` rows, which are background, moved by grey levels."""
    answer = target.pixels.copy()
    answer[:rows, :, 2] -= np.uint8(levels)
    return answer


def test_the_strict_rule_counts_grey_levels_not_colours(drawings):
    source, target = drawings
    exact = judge(source, target, target.pixels)
    assert exact.success and exact.strict and exact.kept == 1
    darker = judge(source, target, moved(target, KEEP_BELOW, rows=10))
    assert darker.success and darker.outside == 1 and not darker.strict
    assert darker.drift > 0 and darker.kept < 0.97
    assert judge(source, target, moved(target, KEEP_BELOW - 1, rows=10)).strict


def test_what_has_to_change_must_change_by_both_rules(drawings):
    source, target = drawings
    untouched = judge(source, target, source.pixels)
    assert untouched.kept == untouched.outside == 1
    assert not untouched.success and not untouched.strict


def test_where_everything_changes_nothing_has_to_be_kept():
    source = render(replace(SCENE, shapes=()))
    target = render(replace(SCENE, background="red", shapes=()))
    verdict = judge(source, target, target.pixels)
    assert verdict.success and verdict.strict and verdict.drift == 0

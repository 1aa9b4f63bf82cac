"""ADWIN against river, value by value, and what it promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from retouch.quality.drift.adwin import Adwin
from river_answers import river_answers
from streams import random_streams, steady

OPTIONS = (
    ({}, {}),
    (
        {"delta": 0.1, "clock": 1, "grace": 5, "most_buckets": 3, "least_values": 2},
        {"delta": 0.1, "clock": 1, "grace_period": 5, "max_buckets": 3, "min_window_length": 2},
    ),
)


def test_every_value_has_river_s_answer():
    streams = random_streams(1, 8)
    by_settings = river_answers("adwin", streams, [theirs for _, theirs in OPTIONS])
    for (ours, _), by_stream in zip(OPTIONS, by_settings):
        changes = sum(_compare(Adwin(**ours), *pair) for pair in zip(streams, by_stream))
        assert changes > 10


def _compare(detector, stream, answers):
    """The number of changes."""
    for value, (has_changed, width, total, spread) in zip(stream, answers):
        assert detector.update(value) == has_changed
        assert detector.window.size == width
        assert math.isclose(detector.window.total, total, abs_tol=1e-8)
        assert math.isclose(detector.window.spread, spread, abs_tol=1e-8)
    return detector.detections


def test_a_change_is_seen_and_the_older_part_forgotten():
    detector = Adwin()
    assert not any([detector.update(value) for value in steady(0, 1000)])
    seen = [detector.update(value) for value in steady(1, 500, mean=0.6)]
    assert seen.index(True) < 128 and detector.detections >= 1
    assert detector.mean == pytest.approx(0.6, abs=0.03) and detector.window.size < 700


def test_false_alarms_are_rare():
    detector = Adwin()
    assert not any([detector.update(value) for value in steady(2, 5000)])


@given(some.lists(some.floats(-1e3, 1e3), min_size=1, max_size=31))
def test_the_window_has_the_values_sum_and_variance(values):
    detector = Adwin()
    assert not any([detector.update(value) for value in values])
    assert detector.window.size == len(values)
    assert detector.mean == pytest.approx(np.mean(values), abs=1e-6)
    assert detector.variance == pytest.approx(np.var(values), abs=1e-3, rel=1e-6)


def test_a_window_may_shrink_to_one_value():
    detector = Adwin(delta=0.999, clock=1, grace=1, least_values=1)
    assert any([detector.update(value) for value in (0.0, 0.0, 0.0, 1e6)])
    assert detector.window.size >= 1


def test_nothing_is_known_before_the_first_value():
    detector = Adwin()
    assert (detector.mean, detector.variance, detector.window.size) == (0, 0, 0)


@pytest.mark.parametrize("value", (float("nan"), float("inf")))
def test_values_must_be_finite(value):
    with pytest.raises(ValueError, match="finite"):
        Adwin().update(value)


@pytest.mark.parametrize("options", ({"delta": 0}, {"delta": 1}, {"clock": 0}, {"least_values": 0}))
def test_settings_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="must be"):
        Adwin(**options)

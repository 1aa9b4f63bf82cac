"""The test of Page and Hinkley against river, value by value, and what it promises."""

from __future__ import annotations

import pytest

from retouch.quality.drift.page_hinkley import PageHinkley
from river_answers import river_answers
from streams import random_streams, steady

OPTIONS = (
    ({}, {}),
    ({"threshold": 2.0}, {"threshold": 2.0}),
    (
        {"least_values": 5, "delta": 0.05, "threshold": 5.0, "alpha": 0.99},
        {"min_instances": 5, "delta": 0.05, "threshold": 5.0, "alpha": 0.99},
    ),
)


def test_every_value_has_river_s_answer():
    streams = random_streams(2, 16)
    by_settings = river_answers("page_hinkley", streams, [theirs for _, theirs in OPTIONS])
    for (ours, _), by_stream in zip(OPTIONS, by_settings):
        changes = sum(_compare(PageHinkley(**ours), *pair) for pair in zip(streams, by_stream))
        assert changes > 3


def _compare(detector, stream, answers):
    """The number of changes."""
    seen = [detector.update(value) for value in stream]
    assert seen == [has_changed for (has_changed,) in answers]
    assert detector.detections == sum(seen)
    return sum(seen)


@pytest.mark.parametrize("mean", (0.6, 1.0), ids=("down", "up"))
def test_a_change_is_seen_and_the_test_starts_anew(mean):
    detector = PageHinkley(threshold=5)
    assert not any([detector.update(value) for value in steady(0, 300)])
    seen = [detector.update(value) for value in steady(1, 300, mean)]
    assert seen.index(True) < 60
    assert detector.mean == pytest.approx(mean, abs=0.03)


def test_false_alarms_are_rare():
    detector = PageHinkley(threshold=10, delta=0.05)
    assert not any([detector.update(value) for value in steady(3, 5000)])


def test_nothing_is_reported_before_there_are_enough_values():
    detector = PageHinkley(least_values=40, threshold=1)
    seen = [detector.update(value) for value in [0.0] * 10 + [9.0] * 40]
    assert seen.index(True) == 39


def test_a_detector_without_values_has_no_excess():
    assert PageHinkley().excess == 0


def test_values_must_be_finite():
    with pytest.raises(ValueError, match="finite"):
        PageHinkley().update(float("nan"))


@pytest.mark.parametrize("options", ({"alpha": 0}, {"alpha": 1.1}, {"threshold": -1}))
def test_settings_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="must"):
        PageHinkley(**options)

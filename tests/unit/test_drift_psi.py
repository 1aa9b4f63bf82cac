"""The population stability index against a frozen reference."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as some

from retouch.quality.drift.psi import CHANGED, STABLE, ReferenceHistogram
from streams import steady

FINITE = some.lists(some.floats(-1e6, 1e6), min_size=1, max_size=40)


def test_the_formula_on_counts_made_by_hand():
    """Three of four values below the border, then one of four; each bin has half a value more."""
    reference = ReferenceHistogram((0.5,), (3, 1))
    more, less = 3.5 / 5, 1.5 / 5
    expected = 2 * (more - less) * math.log(more / less)
    assert reference.psi([0.1, 0.9, 0.5, 0.7]) == pytest.approx(expected)


def test_values_of_the_same_kind_are_stable_and_others_are_not():
    reference = ReferenceHistogram.of(steady(0, 2000))
    assert reference.psi(steady(1, 1000)) < STABLE / 2
    assert reference.psi(steady(2, 1000, mean=0.7)) > CHANGED
    assert reference.psi(steady(3, 1000, deviation=0.2)) > CHANGED


def test_the_index_grows_with_the_change():
    reference = ReferenceHistogram.of(steady(0, 2000))
    indices = [reference.psi(steady(1, 1000, mean)) for mean in (0.8, 0.77, 0.7, 0.5, 0.1)]
    assert indices == sorted(indices)


def test_bins_hold_about_equal_counts():
    counts = ReferenceHistogram.of(steady(0, 1000), bins=10).counts
    assert len(counts) == 10 and sum(counts) == 1000
    assert max(counts) - min(counts) <= 2


def test_a_constant_reference_sees_what_leaves_it():
    reference = ReferenceHistogram.of([0.5] * 100)
    assert reference.psi([0.5] * 50) < STABLE
    for value in (0.4, 0.6):
        assert reference.psi([value] * 50) > CHANGED


@given(FINITE, FINITE, some.integers(2, 12))
def test_the_index_is_never_negative_and_of_the_reference_itself_zero(first, second, bins):
    reference = ReferenceHistogram.of(first, bins)
    assert reference.psi(second) >= 0
    assert reference.psi(first) == 0
    assert ReferenceHistogram.from_json(reference.to_json()) == reference


@pytest.mark.parametrize("values", ([], [math.nan], [1.0, math.inf]))
def test_values_must_be_there_and_finite(values):
    with pytest.raises(ValueError, match="finite"):
        ReferenceHistogram.of(values)
    with pytest.raises(ValueError, match="finite"):
        ReferenceHistogram((0.0,), (1, 1)).psi(values)


@pytest.mark.parametrize(
    "edges, counts, reason",
    [
        ((0.0,), (1,), "borders"),
        ((1.0, 0.0), (1, 1, 1), "rise"),
        ((math.nan,), (1, 1), "finite"),
        ((0.0,), (0, 0), "values"),
        ((0.0,), (2, -1), "values"),
    ],
)
def test_histograms_that_do_not_fit_are_refused(edges, counts, reason):
    with pytest.raises(ValueError, match=reason):
        ReferenceHistogram(edges, counts)


@pytest.mark.parametrize("text", ("{}", "[]", "no", '{"edges": 1, "counts": 2}'))
def test_a_file_that_is_no_reference_is_refused(text):
    with pytest.raises(ValueError):
        ReferenceHistogram.from_json(text)

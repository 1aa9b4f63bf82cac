"""Exact bounds of a share, against SciPy and against the counts that certify a threshold."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from retouch.quality.thresholds.clopper_pearson import (
    at_least,
    at_most,
    interval,
    lower_bound,
    trials_needed,
    upper_bound,
)

CONFIDENCES = st.sampled_from((0.8, 0.95, 0.975, 0.99, 0.999))
COUNTS = st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


def their_upper(k, n, confidence):
    return stats.beta.ppf(confidence, k + 1, n - k) if k < n else 1.0


def their_lower(k, n, confidence):
    return stats.beta.ppf(1 - confidence, k, n - k + 1) if k else 0.0


@settings(max_examples=25)
@given(COUNTS, CONFIDENCES)
def test_bounds_are_those_of_scipy(counts, confidence):
    k, n = counts
    assert upper_bound(k, n, confidence) == pytest.approx(their_upper(k, n, confidence), rel=1e-8)
    assert lower_bound(k, n, confidence) == pytest.approx(their_lower(k, n, confidence), rel=1e-8)
    both = their_lower(k, n, (1 + confidence) / 2), their_upper(k, n, (1 + confidence) / 2)
    assert interval(k, n, confidence) == pytest.approx(both, rel=1e-8)


def test_intervals_are_those_of_the_binomial_test():
    both = stats.binomtest(7, 90).proportion_ci(0.95, method="exact")
    assert interval(7, 90) == pytest.approx((both.low, both.high), rel=1e-8)


@pytest.mark.parametrize("k", (0, 1, 17, 20_000, 500_000, 999_983, 999_999, 1_000_000))
def test_a_million_trials_are_no_less_exact(k):
    n = 1_000_000
    assert upper_bound(k, n) == pytest.approx(their_upper(k, n, 0.95), rel=1e-8)
    assert lower_bound(k, n) == pytest.approx(their_lower(k, n, 0.95), rel=1e-8)


@pytest.mark.parametrize(
    "limit, trials",
    [
        (0.05, {0: 59, 1: 93, 2: 124, 3: 153, 5: 208, 10: 336}),
        (0.02, {0: 149, 1: 236, 2: 313, 3: 386, 5: 523, 10: 845}),
    ],
)
def test_trials_that_certify(limit, trials):
    assert {k: trials_needed(k, limit) for k in trials} == trials
    for k, n in trials.items():
        assert upper_bound(k, n) <= limit < upper_bound(k, n - 1)


@settings(max_examples=25)
@given(COUNTS, st.floats(0, 1))
def test_tails_are_those_of_scipy(counts, p):
    k, n = counts
    assert at_most(k, n, p) == pytest.approx(stats.binom.cdf(k, n, p), rel=1e-7, abs=1e-12)
    assert at_least(k, n, p) == pytest.approx(stats.binom.sf(k - 1, n, p), rel=1e-7, abs=1e-12)


@settings(max_examples=25)
@given(COUNTS, CONFIDENCES)
def test_bounds_enclose_the_share_and_mirror_one_another(counts, confidence):
    k, n = counts
    assert 0 <= lower_bound(k, n, confidence) <= k / n <= upper_bound(k, n, confidence) <= 1
    assert upper_bound(k, n, confidence) == pytest.approx(
        1 - lower_bound(n - k, n, confidence), abs=1e-9
    )


def test_without_trials_everything_is_possible():
    assert interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize("k, n", [(-1, 5), (6, 5), (0, 10**10)])
def test_impossible_counts_are_refused(k, n):
    with pytest.raises(ValueError, match="are no counts"):
        upper_bound(k, n)
    with pytest.raises(ValueError, match="are no counts"):
        lower_bound(k, n)


@pytest.mark.parametrize("confidence", (0, 1, 1.5, -0.1))
def test_impossible_confidences_are_refused(confidence):
    with pytest.raises(ValueError, match="confidence"):
        upper_bound(1, 5, confidence)


@pytest.mark.parametrize("limit", (0, 1, -0.5))
def test_impossible_limits_are_refused(limit):
    with pytest.raises(ValueError, match="limit"):
        trials_needed(0, limit)

"""Exact bounds of a probability, from k events in n independent trials (Clopper and Pearson)."""

from __future__ import annotations

import math
from collections.abc import Callable

CONFIDENCE = 0.95
NEGLIGIBLE = 1e-18  # a term of a sum, to the sum so far
LARGEST = 10**9  # trials


def upper_bound(k: int, n: int, confidence: float = CONFIDENCE) -> float:
    """The one-sided upper bound: the probability lies below it with this confidence. 1 where all
    trials are events, or where there is none. ValueError for counts that cannot be."""
    _check(k, n, confidence)
    if k == n:
        return 1.0
    # the probability of so few events falls with p
    return _bisect(lambda p: at_most(k, n, p) > 1 - confidence, k / n, 1.0)


def lower_bound(k: int, n: int, confidence: float = CONFIDENCE) -> float:
    """The one-sided lower bound; 0 where no trial is an event. ValueError for counts that cannot
    be."""
    _check(k, n, confidence)
    if k == 0:
        return 0.0
    # the probability of so many events grows with p
    return _bisect(lambda p: at_least(k, n, p) < 1 - confidence, 0.0, k / n)


def interval(k: int, n: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The two-sided interval, with half of the error on either side."""
    one_sided = (1 + confidence) / 2
    return lower_bound(k, n, one_sided), upper_bound(k, n, one_sided)


def trials_needed(k: int, limit: float, confidence: float = CONFIDENCE) -> int:
    """The fewest trials that show, with k events, that the probability is at most `limit`."""
    if not 0 < limit < 1:
        raise ValueError(f"the limit is {limit}; it must lie between 0 and 1")
    few, many = k, k + 1
    while upper_bound(k, many, confidence) > limit:
        few, many = many, 2 * many
    while many - few > 1:
        middle = (few + many) // 2
        if upper_bound(k, middle, confidence) > limit:
            few = middle
        else:
            many = middle
    return many


def at_most(k: int, n: int, p: float) -> float:
    """The probability of k events or fewer in n trials of probability p."""
    if k < n * p:
        return _sum_down(k, n, p, 1 - p)
    return 1 - _sum_down(n - k - 1, n, 1 - p, p) if k < n else 1.0


def at_least(k: int, n: int, p: float) -> float:
    """The probability of k events or more."""
    if k > n * p:
        return _sum_down(n - k, n, 1 - p, p)
    return 1 - _sum_down(k - 1, n, p, 1 - p) if k > 0 else 1.0


def _sum_down(k: int, n: int, p: float, q: float) -> float:
    """The terms k, k - 1, … of the binomial distribution, which fall below its mean. `q` is 1 - p,
    apart because the smaller of the two has more digits than their difference."""
    term = total = _term(k, n, p, q)
    odds = q / p if p else 0.0
    for i in range(k, 0, -1):
        term *= i / (n - i + 1) * odds
        total += term
        if term <= NEGLIGIBLE * total:
            break
    return total


def _term(k: int, n: int, p: float, q: float) -> float:
    """The probability of exactly k events."""
    if p == 0 or q == 0:
        return float(k == n * p)
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    log_p = math.log(p) if p < q else math.log1p(-q)
    log_q = math.log(q) if q < p else math.log1p(-p)
    return math.exp(ways + k * log_p + (n - k) * log_q)


def _bisect(is_below: Callable[[float], bool], low: float, high: float) -> float:
    """Where `is_below` turns false, to the last bit of a float."""
    while low < (middle := (low + high) / 2) < high:
        if is_below(middle):
            low = middle
        else:
            high = middle
    return high


def _check(k: int, n: int, confidence: float) -> None:
    if not 0 <= k <= n <= LARGEST:
        raise ValueError(f"{k} of {n} are no counts; 0 <= k <= n <= {LARGEST} is allowed")
    if not 0 < confidence < 1:
        raise ValueError(f"the confidence is {confidence}; it must lie between 0 and 1")

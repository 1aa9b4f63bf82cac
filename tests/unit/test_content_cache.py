"""What is remembered of images: bounded in bytes, the oldest goes first, what is in use stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from retouch.util.content_cache import Cache, key_of, size_of

ONE = np.zeros(100, np.uint8)


def make():
    return {"k": ONE, "v": (ONE,)}


def test_the_second_time_nothing_is_made():
    cache = Cache(1000)
    made = []
    for _ in range(3):
        cache.get("a", lambda: made.append(1) or ONE)
    assert len(made) == 1
    assert (cache.counts.hits, cache.counts.misses, cache.counts.bytes) == (2, 1, 100)


def test_the_least_recently_used_goes_first():
    cache = Cache(300)
    for key in "abc":
        cache.get(key, lambda: ONE)
    cache.get("a", make)
    cache.get("d", lambda: ONE)
    assert cache.counts.evictions == 1 and cache.counts.bytes == 300
    cache.get("a", make), cache.get("c", make)
    assert cache.counts.misses == 4
    cache.get("b", lambda: ONE)
    assert cache.counts.misses == 5


def test_what_is_pinned_stays_beyond_the_limit():
    cache = Cache(100)
    for key in "abc":
        cache.pin(key, lambda: ONE)
    assert cache.counts.bytes == 300 and cache.counts.evictions == 0
    cache.unpin("b")
    assert cache.counts.bytes == 200
    cache.get("a", make)
    assert cache.counts.hits == 1
    cache.unpin("a"), cache.unpin("c")
    assert cache.counts.bytes <= 100


def test_what_cannot_be_made_leaves_nothing():
    cache = Cache(100)
    with pytest.raises(ZeroDivisionError):
        cache.get("a", lambda: 1 / 0)
    assert cache.get("a", lambda: ONE) is ONE and cache.counts.bytes == 100


@given(
    some.lists(some.tuples(some.integers(0, 9), some.booleans()), max_size=80),
    some.integers(0, 500),
)
def test_bytes_are_counted_right(calls, limit):
    cache = Cache(limit)
    pinned = []
    for key, keep in calls:
        (cache.pin if keep else cache.get)(key, lambda key=key: ONE[: 10 * key + 1])
        pinned += [key] * keep
    held = sum(10 * key + 1 for key in set(pinned))
    assert cache.counts.bytes <= max(limit, held) and cache.counts.bytes >= held
    for key in pinned:
        cache.unpin(key)
    assert cache.counts.bytes <= limit


def test_keys_and_sizes_are_the_contents():
    a = np.arange(6, dtype=np.float32)
    assert key_of(a) == key_of(a.copy()) == key_of(np.arange(12, dtype=np.float32)[:6])
    assert (
        len(
            {
                key_of(a),
                key_of(a.reshape(2, 3)),
                key_of(a.astype(np.float64)),
                key_of(a, a),
                key_of(a + 1),
            }
        )
        == 5
    )
    assert size_of(make()) == 200

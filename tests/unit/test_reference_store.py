"""The store of keys and values: two tiers, and FP8."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from retouch.backends import kept_values
from retouch.backends.torch import Kept
from retouch.engine.cost_model import Cost
from retouch.engine.reference_store import ReferenceStore

SHAPE = (1, 2, 5, 3, 8)  # batch, layers, tokens, heads, head size
FREE = Cost(copy=0.0)
DEAR = Cost(copy=1e9)


def arrays(seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(SHAPE, np.float32) for name in ("k", "v")}


def on_device(seed=0):
    return {name: Kept(torch.from_numpy(array)) for name, array in arrays(seed).items()}


BYTES = 2 * 4 * int(np.prod(SHAPE))


def used(store, key, compute):
    """The arrays of a key after an edit with it."""
    pinned = store.pin(key, compute)
    store.unpin(key)
    return {name: np.asarray(array) for name, array in pinned.items()}


def test_the_second_tier_has_what_the_first_evicts():
    store = ReferenceStore(BYTES, BYTES, cost=FREE)
    made = []
    for seed in (0, 1, 0, 1):
        kept = used(store, seed, lambda seed=seed: made.append(seed) or on_device(seed))
        for name, array in arrays(seed).items():
            np.testing.assert_array_equal(kept[name], array)
    assert made == [0, 1] and store.host.counts.hits == 2
    assert store.kept.counts.bytes == store.host.counts.bytes == BYTES


@pytest.mark.parametrize(
    "compute, host, cost",
    (
        (on_device, 0, FREE),
        (on_device, BYTES - 1, FREE),
        (on_device, BYTES, DEAR),
        (arrays, BYTES, FREE),
    ),
    ids=("no second tier", "too small", "copies take longer", "arrays of the host"),
)
def test_what_is_computed_again(compute, host, cost):
    store = ReferenceStore(0, host, cost=cost)
    made = []
    for _ in range(2):
        used(store, "a", lambda: made.append(1) or compute())
    assert len(made) == 2 and store.host.counts.bytes == 0


@pytest.mark.parametrize("compute", (arrays, on_device))
def test_values_in_fp8(compute):
    store = ReferenceStore(1 << 20, fp8="v")
    kept = used(store, "a", compute)
    expected = arrays()
    np.testing.assert_array_equal(kept["k"], expected["k"])
    error = np.abs(kept["v"] - expected["v"])
    assert error.max() > 0 and (error <= np.abs(expected["v"]) / 16 + 1e-2).all()
    assert kept["v"].dtype == np.float32 and BYTES / 2 < store.counts.bytes < 0.66 * BYTES


def test_numpy_and_torch_round_alike():
    (by_numpy, by_torch) = (
        np.asarray(kept_values.wide(kept_values.in_fp8(made["v"])))
        for made in (arrays(), on_device())
    )
    np.testing.assert_array_equal(by_numpy, by_torch)


def test_a_head_of_zeros_stays_zero():
    zeros = np.zeros(SHAPE, np.float32)
    assert not kept_values.wide(kept_values.in_fp8(zeros)).any()


def test_fp8_comes_back_from_host_memory_as_it_was():
    store = ReferenceStore(0, BYTES, fp8="kv", cost=FREE)
    first, again = (used(store, "a", on_device) for _ in range(2))
    np.testing.assert_array_equal(first["k"], again["k"])
    assert store.host.counts.hits == 1 and store.host.counts.bytes < BYTES / 2


def test_joined_along_the_tokens():
    for compute in (arrays, on_device):
        parts = [compute(seed)["k"] for seed in range(3)]
        joined = np.asarray(kept_values.joined(parts))
        np.testing.assert_array_equal(joined, np.concatenate([*map(np.asarray, parts)], 2))
        assert kept_values.joined(parts[:1]) is parts[0]


def test_other_arrays_have_no_fp8():
    with pytest.raises(ValueError, match="it may name k and v"):
        ReferenceStore(0, fp8=["q"])

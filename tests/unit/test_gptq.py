"""Error feedback: columns of a weight that make up for each other in the layer's output."""

from __future__ import annotations

import numpy as np
import pytest

from retouch_export.formats import from_nvfp4, to_nvfp4
from retouch_export.gptq import (
    DAMPING,
    GROUP,
    factors,
    importance,
    products,
    to_nvfp4_with_feedback,
)
from retouch_export.scales import nvfp4_scale

ROWS = 40
COLUMNS = GROUP + 48  # a whole group and a part of one


@pytest.fixture()
def weight():
    return np.random.default_rng(0).standard_normal((ROWS, COLUMNS)).astype(np.float32)


@pytest.fixture()
def tokens():
    """Inputs whose channels go together, as those of a network do."""
    rng = np.random.default_rng(1)
    mixed = (
        rng.standard_normal((2000, 24))
        @ rng.standard_normal((24, COLUMNS))
        * rng.gamma(1, size=COLUMNS)
    )
    return (mixed + 0.1 * rng.standard_normal(mixed.shape)).astype(np.float32)


def scale_of(weight):
    return nvfp4_scale(float(np.abs(weight).max()))


def fed_back(weight, inputs):
    return to_nvfp4_with_feedback(weight, scale_of(weight), factors(inputs))


def output_error(weight, packed, tokens):
    rounded = from_nvfp4(*packed, scale_of(weight))
    return np.linalg.norm(tokens @ (rounded - weight).T) / np.linalg.norm(tokens @ weight.T)


def test_products_are_the_groups_on_the_diagonal(tokens):
    whole = tokens.T @ tokens
    first, second = products(tokens)
    np.testing.assert_allclose(first, whole[:GROUP, :GROUP], rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(second, whole[GROUP:, GROUP:], rtol=1e-4, atol=1e-2)
    np.testing.assert_array_equal(
        importance([first, second]), np.concatenate([np.diag(first), np.diag(second)])
    )


def test_a_factor_is_of_the_inverse(tokens):
    inputs = products(tokens)
    for group, factor in zip(inputs, factors(inputs)):
        damped = group + DAMPING * np.diag(group).mean() * np.eye(len(group))
        assert np.array_equal(factor, np.triu(factor))
        np.testing.assert_allclose(factor.T @ factor @ damped, np.eye(len(group)), atol=2e-3)


def test_the_output_gains_on_tokens_that_were_not_seen(weight, tokens):
    inputs = products(tokens[:1000])
    unseen = tokens[1000:]
    nearest, searched = (to_nvfp4(weight, scale_of(weight), search) for search in (False, True))
    weighted = to_nvfp4(weight, scale_of(weight), importance=importance(inputs))
    errors = [
        output_error(weight, packed, unseen)
        for packed in (nearest, searched, weighted, fed_back(weight, inputs))
    ]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.5 * errors[0]


def test_channels_that_do_not_go_together_have_nothing_to_make_up_for(weight):
    alone = [np.eye(size, dtype=np.float32) for size in (GROUP, COLUMNS - GROUP)]
    for ours, theirs in zip(fed_back(weight, alone), to_nvfp4(weight, scale_of(weight))):
        np.testing.assert_array_equal(ours, theirs)


def test_rows_may_be_rounded_some_at_a_time(weight, tokens):
    spread = factors(products(tokens))
    scale = scale_of(weight)
    whole = to_nvfp4_with_feedback(weight, scale, spread)
    parts = [
        to_nvfp4_with_feedback(weight[part], scale, spread)
        for part in (slice(0, 16), slice(16, None))
    ]
    for index in (0, 1):
        together = np.concatenate([part[index] for part in parts])
        assert (
            together == whole[index]
        ).mean() > 0.999  # sums of other sizes may end on the other side of a tie


def test_the_weight_stays_as_it_was(weight, tokens):
    before = weight.copy()
    fed_back(weight, products(tokens))
    np.testing.assert_array_equal(weight, before)


def test_an_input_that_is_always_zero(weight):
    silent = [np.zeros((size, size), np.float32) for size in (GROUP, COLUMNS - GROUP)]
    values, steps = fed_back(weight, silent)
    assert np.isfinite(from_nvfp4(values, steps, scale_of(weight))).all()

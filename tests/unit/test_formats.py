"""The narrow formats: grids, scales, ties, and what the search for scales gains."""

import numpy as np
import pytest

from retouch_export.formats import BLOCK, E2M1, E4M3, from_nvfp4, to_fp8, to_nvfp4
from retouch_export.scales import fp8_scale, nvfp4_scale

GRID = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)


@pytest.fixture()
def weight():
    return np.random.default_rng(0).standard_normal((64, 128)).astype(np.float32)


def fp8(numbers):
    """The numbers that FP8 has for `numbers`."""
    scale = fp8_scale(float(np.abs(numbers).max()))
    return to_fp8(numbers, scale).astype(np.float32) * scale


def nvfp4(weight, search=True):
    """NVFP4's values, block scales and scale of `weight`, and the numbers they stand for."""
    scale = nvfp4_scale(float(np.abs(weight).max()))
    packed = to_nvfp4(weight, scale, search)
    return *packed, scale, from_nvfp4(*packed, scale)


@pytest.mark.parametrize("amax", [1e-6, 0.3, 1, 447.9, 448, 448.1, 1e5])
def test_scales_are_the_smallest_powers_of_two_that_hold_the_range(amax):
    for scale, largest in ((fp8_scale(amax), 448), (nvfp4_scale(amax), 6 * 448)):
        assert np.log2(scale) == np.round(np.log2(scale))
        assert scale * largest >= np.float32(amax) > scale * largest / 2


def test_fp8_keeps_what_is_on_its_grid():
    values = np.array([0, 2**-9, 0.5, 1.125, 240, -448], np.float32)
    assert fp8_scale(448) == 1 and to_fp8(values, np.float32(1)).dtype == E4M3
    np.testing.assert_array_equal(fp8(values), values)


def test_fp8_is_within_half_a_step(weight):
    error = np.abs(fp8(weight) - weight)
    assert (
        error
        <= np.maximum(np.abs(weight) / 16, fp8_scale(float(np.abs(weight).max())) * 2**-10) * 1.0001
    ).all()


def test_nvfp4_keeps_what_is_on_its_grid():
    row = np.concatenate([GRID, -GRID])
    block = np.stack([row * 448, row * 2])  # block scales 448 and 2 in units of the tensor's
    values, block_scales, scale, numbers = nvfp4(block)
    assert values.dtype == E2M1 and scale == 1
    np.testing.assert_array_equal(block_scales.astype(np.float32), [[448], [2]])
    np.testing.assert_array_equal(numbers, block)


def test_ties_go_to_even():
    row = np.array(
        [6, 0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5, -0.25, -2.5, -5, 0, 0, 0, 0, 0], np.float32
    )
    values, *_ = nvfp4(np.stack([row, row * 448]), search=False)
    expected = [6, 0, 1, 1, 2, 2, 4, 4, 0, -2, -4, 0, 0, 0, 0, 0]
    np.testing.assert_array_equal(values[0].astype(np.float32), expected)


def test_no_scale_is_zero():
    weight = np.zeros((2, 32), np.float32)
    weight[0, 0] = 1000
    weight[1, 16] = 1e-9
    _, block_scales, _, numbers = nvfp4(weight)
    assert (block_scales.astype(np.float32) > 0).all() and np.isfinite(numbers).all()


def test_the_search_for_scales_gains(weight):
    def error(search):
        return np.square(nvfp4(weight, search)[-1] - weight).sum()

    assert error(True) < 0.9 * error(False)


def test_the_search_minimises_what_it_is_told_to(weight):
    """In every block, by its own measure: no worse than without a search, nor than the search by
    another measure."""
    counts = np.random.default_rng(2).gamma(0.3, size=weight.shape[1]).astype(np.float32)
    scale = nvfp4_scale(float(np.abs(weight).max()))

    def errors(**search):
        squares = np.square(from_nvfp4(*to_nvfp4(weight, scale, **search), scale) - weight)
        return (squares * counts).reshape(len(weight), -1, BLOCK).sum(-1)

    weighted = errors(importance=counts)
    assert (weighted <= errors(search=False) * 1.0001).all() and (
        weighted <= errors() * 1.0001
    ).all()
    assert weighted.sum() < 0.95 * errors().sum()


def test_a_larger_scale_where_steps_are_finer():
    """6 and 5 in units of the scale for a maximum at 6: at 4 and 3.33 the second is nearer to a
    value."""
    row = np.array([6, 5] + [0] * 14, np.float32)
    _, held, _, _ = nvfp4(np.stack([row]), search=False)
    _, steps, _, numbers = nvfp4(np.stack([row]))
    assert steps.astype(np.float32) > held.astype(np.float32)
    assert np.square(numbers - row).sum() < 1

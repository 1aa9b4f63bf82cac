"""The narrow formats: grids, scales, ties, and what the search for clips gains."""

import numpy as np
import pytest

from export.formats import E2M1, E4M3, fp8_scale, nvfp4_scale, to_fp8, to_nvfp4

GRID = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)


@pytest.fixture()
def weight():
    return np.random.default_rng(0).standard_normal((64, 128)).astype(np.float32)


def test_fp8_keeps_what_is_on_its_grid():
    values = np.array([0, 2**-9, 0.5, 1.125, 240, -448], np.float32)
    assert to_fp8(values).scale == 1 and to_fp8(values).values.dtype == E4M3
    np.testing.assert_array_equal(to_fp8(values).numbers(), values)


def test_fp8_is_within_half_a_step(weight):
    error = np.abs(to_fp8(weight).numbers() - weight)
    assert (error <= np.maximum(np.abs(weight) / 16, fp8_scale(float(np.abs(weight).max())) * 2**-10) * 1.0001).all()


def test_nvfp4_keeps_what_is_on_its_grid():
    row = np.concatenate([GRID, -GRID])
    block = np.stack([row * 448, row * 2])  # block scales 448 and 2 in units of the tensor's
    packed = to_nvfp4(block)
    assert packed.values.dtype == E2M1 and packed.scale == 1
    np.testing.assert_array_equal(packed.block_scales.astype(np.float32), [[448], [2]])
    np.testing.assert_array_equal(packed.numbers(), block)


def test_ties_go_to_even():
    row = np.array([6, 0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5, -0.25, -2.5, -5, 0, 0, 0, 0, 0], np.float32)
    packed = to_nvfp4(np.stack([row, row * 448]), search=False)
    expected = [6, 0, 1, 1, 2, 2, 4, 4, 0, -2, -4, 0, 0, 0, 0, 0]
    np.testing.assert_array_equal(packed.values[0].astype(np.float32), expected)


def test_no_scale_is_zero():
    weight = np.zeros((2, 32), np.float32)
    weight[0, 0], weight[1, 16] = 1000, 1e-9
    scales = to_nvfp4(weight).block_scales.astype(np.float32)
    assert (scales > 0).all() and np.isfinite(to_nvfp4(weight).numbers()).all()


def test_the_search_for_clips_gains(weight):
    def error(packed):
        return np.square(packed.numbers() - weight).sum()

    plain, searched = to_nvfp4(weight, search=False), to_nvfp4(weight)
    assert error(searched) < 0.97 * error(plain)
    assert searched.scale == plain.scale == nvfp4_scale(float(np.abs(weight).max()))


@pytest.mark.parametrize("shape", [(4, 24), (16,), (2, 2, 16)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="K a multiple of 16"):
        to_nvfp4(np.zeros(shape, np.float32))

"""What an edit has kept outside of its region."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from planned_faults import (
    PHOTOS,
    blurred,
    brightened,
    everything,
    inside,
    moved,
    noisy,
    photo,
    region,
    with_disc,
)
from retouch.imaging.luma import luma
from retouch.quality.metrics.appearance import appearance
from retouch.quality.metrics.ssim import C1, C2, DEVIATION, SIDE, ssim, ssim_map

SHARED = pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.stem)


def mean_error(first, second):
    return float(np.abs(first.astype(float) - second).mean())


@SHARED
@pytest.mark.parametrize("edit", (with_disc, blurred), ids=("disc", "blur"))
def test_a_clean_edit_keeps_all_outside(path, edit):
    source = photo(path)
    kept = appearance(source, inside(source, edit(source)), region(), mean_error)
    assert (kept.change, kept.lpips) == (0, 0)
    assert kept.ssim == pytest.approx(1)
    np.testing.assert_allclose(kept.shift, (0, 0), atol=0.01)


@SHARED
def test_a_shift_of_two_pixels_is_measured(path):
    source = photo(path)
    kept = appearance(source, inside(moved(source, 2, 0), source), region())
    np.testing.assert_allclose(kept.shift, (2, 0), atol=0.15)
    assert kept.ssim < 0.9 and kept.change > 2


@SHARED
@pytest.mark.parametrize(
    "fault, change, similarity",
    [
        (lambda pixels: brightened(pixels, 6), 4, 1),
        (lambda pixels: noisy(pixels, 8), 4, 0.97),
        (lambda pixels: blurred(pixels, 2), 2, 0.95),
    ],
    ids=("brighter", "noise", "blur"),
)
def test_drift_outside_is_seen(path, fault, change, similarity):
    source = photo(path)
    answer = inside(fault(source), source)
    kept = appearance(source, answer, region(), mean_error)
    assert kept.change > change and kept.ssim < similarity and kept.lpips > 0


def test_what_happens_inside_does_not_count():
    source = photo(PHOTOS[0])
    changes = (with_disc(source), np.zeros_like(source), 255 - source)
    measured = {appearance(source, inside(source, one), region(), mean_error) for one in changes}
    assert len(measured) == 1


def test_a_region_of_everything_leaves_nothing_to_tell_by():
    source = photo(PHOTOS[0])
    kept = appearance(source, with_disc(source), everything(), mean_error)
    assert (kept.change, kept.ssim, kept.lpips) == (None, None, None)


def test_without_a_distance_there_is_no_lpips():
    source = photo(PHOTOS[0])
    assert appearance(source, source, region()).lpips is None


def plain_ssim(first, second, top, left):
    """The formula of one window, with its weights in two dimensions."""
    axis = np.arange(SIDE) - SIDE // 2
    weights = np.exp(-(axis[:, None] ** 2 + axis**2) / (2 * DEVIATION**2))
    weights /= weights.sum()
    x, y = (grey[top : top + SIDE, left : left + SIDE].astype(float) for grey in (first, second))
    mean_x, mean_y = (weights * x).sum(), (weights * y).sum()
    variances = (weights * (x - mean_x) ** 2).sum() + (weights * (y - mean_y) ** 2).sum()
    covariance = (weights * (x - mean_x) * (y - mean_y)).sum()
    means = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    return means * (2 * covariance + C2) / (variances + C2)


@settings(max_examples=20)
@given(some.integers(0, 13), some.integers(0, 19), some.integers(0, 99))
def test_ssim_is_the_paper_s_formula(top, left, seed):
    rng = np.random.default_rng(seed)
    first = rng.uniform(0, 255, (24, 30))
    second = first + rng.normal(0, 30, (24, 30))
    values = ssim_map(first, second)
    assert values.shape == (14, 20)
    assert values[top, left] == pytest.approx(plain_ssim(first, second, top, left), abs=1e-9)


def test_ssim_takes_windows_that_lie_wholly_outside():
    source = photo(PHOTOS[0])
    answer = source.copy()
    answer[:, :40] = 0
    counted = everything()
    counted[:, :40] = False
    assert ssim(source, answer, counted) == pytest.approx(1)
    counted[:, 39] = True
    assert ssim(source, answer, counted) < 1
    assert ssim(source, answer) == pytest.approx(ssim_map(luma(source), luma(answer)).mean())
    assert ssim(source[:10], answer[:10]) is None
    assert ssim(source, answer, ~everything()) is None


def zeros(*shape):
    return np.zeros(shape, np.uint8)


@pytest.mark.parametrize(
    "source, answer, mask, reason",
    [
        (np.zeros((8, 8, 3)), zeros(8, 8, 3), np.ones((8, 8), bool), "source"),
        (zeros(8, 8, 3), zeros(8, 8), np.ones((8, 8), bool), "answer"),
        (zeros(8, 8, 3), zeros(8, 9, 3), np.ones((8, 8), bool), "one size"),
        (zeros(8, 8, 3), zeros(8, 8, 3), np.ones((8, 8), int), "region"),
        (zeros(8, 8, 3), zeros(8, 8, 3), np.ones((8, 9), bool), "region"),
        (zeros(0, 8, 3), zeros(0, 8, 3), np.ones((0, 8), bool), "source"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(source, answer, mask, reason):
    with pytest.raises(ValueError, match=reason):
        appearance(source, answer, mask)

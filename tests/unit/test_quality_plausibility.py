"""Planned faults move the measure that is to see them, and clean edits do not."""

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
    noisy,
    photo,
    region,
    saturated,
    tiled,
    with_disc,
)
from retouch.quality.metrics.borders import seams, tiles
from retouch.quality.metrics.plausibility import flat_share, invalid_share, plausibility
from retouch.quality.metrics.spectrum import spectrum_change

SHARED = pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.stem)
TILES = 1.2  # what tests take for a fault
SEAMS = 2.0


@SHARED
@pytest.mark.parametrize(
    "edit",
    [
        lambda pixels: pixels,
        lambda pixels: noisy(pixels, 2),
        with_disc,
        lambda pixels: noisy(with_disc(pixels), 2),
    ],
    ids=("nothing", "noise of a lane", "disc", "disc with noise"),
)
def test_clean_edits_have_no_fault(path, edit):
    source = photo(path)
    measured = plausibility(source, inside(source, edit(source)), region())
    assert measured.flat <= 0.3  # the disc's middle is flat
    assert abs(measured.saturated) < 0.15
    assert abs(measured.tiles) < TILES and abs(measured.seams) < SEAMS / 2


@SHARED
@pytest.mark.parametrize("levels", (-12, 12))
def test_a_whole_picture_that_is_brighter_has_no_fault(path, levels):
    source = photo(path)
    measured = plausibility(source, brightened(source, levels), everything())
    assert measured.seams is None and abs(measured.tiles) < TILES
    assert abs(measured.spectrum.detail) < 1 and abs(measured.spectrum.slope) < 0.2


@SHARED
@pytest.mark.parametrize("side", (8, 16))
def test_tiles_are_seen(path, side):
    source = photo(path)
    assert tiles(source, tiled(source, side)) > TILES
    assert tiles(tiled(source, side), tiled(source, side)) == 0


@SHARED
def test_seams_are_seen(path):
    source = photo(path)
    answer = inside(source, brightened(source, 10))
    assert seams(source, answer, region()) > SEAMS
    assert seams(source, answer, everything()) is None
    assert seams(source, answer, ~everything()) is None


@SHARED
def test_blur_and_noise_are_told_apart(path):
    source = photo(path)
    blur, noise, nothing = (
        spectrum_change(source, answer, region())
        for answer in (blurred(source), noisy(source, 20), source)
    )
    assert blur.detail < -15 and blur.slope < -1
    assert noise.detail > 1.5 and noise.slope > 0.1
    assert (nothing.detail, nothing.slope) == (0, 0)


@SHARED
def test_flat_and_saturated_regions_are_seen(path):
    source = photo(path)
    flat = plausibility(source, inside(source, np.full_like(source, 120)), region())
    assert flat.flat == 1 and flat.spectrum.detail < -20
    assert plausibility(source, inside(source, saturated(source)), region()).saturated > 0.5


def test_what_was_flat_before_is_no_fault():
    flat = np.full((32, 32, 3), 90, np.uint8)
    mask = np.ones((32, 32), bool)
    assert flat_share(flat, flat, mask) == 0
    measured = plausibility(flat, flat, mask)
    assert (measured.spectrum.detail, measured.spectrum.slope, measured.tiles) == (0, 0, None)


@settings(max_examples=25)
@given(some.integers(1, 40), some.integers(1, 40), some.integers(0, 99))
def test_any_size_and_region_has_an_answer_and_no_fault_against_itself(height, width, seed):
    rng = np.random.default_rng(seed)
    source = rng.integers(0, 256, (height, width, 3), np.uint8)
    mask = rng.uniform(size=(height, width)) < rng.uniform()
    measured = plausibility(source, source, mask)
    spectrum = measured.spectrum
    pair = (spectrum.detail, spectrum.slope) if spectrum else (None, None)
    for value in (measured.flat, measured.saturated, measured.tiles, measured.seams, *pair):
        assert value in (0, None)


@settings(max_examples=40)
@given(some.lists(some.floats(), max_size=20))
def test_values_that_are_no_numbers_are_counted(values):
    bad = sum(not np.isfinite(value) for value in values)
    share = invalid_share(np.array(values, np.float64))
    assert share == pytest.approx(bad / len(values) if values else 0)


def test_a_picture_with_a_damaged_tile():
    pixels = np.zeros((32, 32, 3), np.float32)
    pixels[:8, :8] = np.nan
    assert invalid_share(pixels) == pytest.approx(1 / 16)


def test_pictures_of_other_sizes_are_refused():
    with pytest.raises(ValueError, match="one size"):
        plausibility(photo(PHOTOS[0]), photo(PHOTOS[0])[:8], everything())

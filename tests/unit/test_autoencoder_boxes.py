"""The boxes of sizes that plans of an autoencoder are built for hold every image, alone and in the
largest batch, and no box is too large for TensorRT."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as some
from test_tensorrt_profiles import FAMILIES, INSTRUCTX

from retouch.api.limits import MAX_ASPECT, MAX_SIDE, MIN_SIDE
from retouch.families.registry import family_of
from retouch.families.vae import TILE, WHOLE, rows_of_a_run
from retouch_export.autoencoder_boxes import Box, boxes
from retouch_export.edit_sizes import edit_sizes

NUMBERS = 2**31  # fewer than so many has a convolution's output
CHANNELS = 256  # of a decoder at the size of the image, at most
SETTINGS = FAMILIES | {"instructx": INSTRUCTX}
TABLES = {
    name: boxes(edit_sizes(family), family.size_ranges[0][1])
    for name, family in ((name, family_of(name, some)) for name, some in SETTINGS.items())
}


def holds(box: Box, size: tuple[int, int], rows: int) -> bool:
    low, _, high = box.sizes
    sides = all(a <= side <= b for a, side, b in zip(low, size, high))
    return sides and box.batch[0] <= rows <= box.batch[1]


@pytest.mark.parametrize("name", SETTINGS)
@given(
    height=some.integers(MIN_SIDE, MAX_SIDE),
    width=some.integers(MIN_SIDE, MAX_SIDE),
    share=some.floats(0, 1),
)
def test_every_image_and_batch_has_a_box(name, height, width, share):
    if max(height, width) <= min(height, width) * MAX_ASPECT:
        size = family_of(name, SETTINGS[name]).size(height, width)
        most = rows_of_a_run(math.prod(size))
        for rows in {1, most, 1 + round(share * (most - 1))}:
            assert any(holds(box, size, rows) for box in TABLES[name]), (size, rows)


@pytest.mark.parametrize("name", SETTINGS)
def test_boxes_are_small_enough_for_tensorrt(name):
    for box in TABLES[name]:
        low, usual, high = box.sizes
        assert box.batch[1] * math.prod(high) * CHANNELS < NUMBERS
        assert all(a <= b <= c for a, b, c in zip(low, usual, high))


def test_one_box_serves_all_batches_of_small_images():
    assert [box.batch for box in TABLES["instructx"]] == [(1, 1), (1, 1), (2, 8), (2, 8)]
    assert TABLES["instructx"][0].sizes[1] == (128, 128), "the usual edit"


def test_large_images_have_a_box_of_tiles():
    sizes = [(512, 512), (2048, 1600)]
    table = boxes(sizes, (512, 512))
    assert math.prod(sizes[1]) > WHOLE
    assert table[-1] == Box(((64, 64), (TILE, TILE), (TILE, TILE)), (1, 1))
    assert all(max(box.sizes[2]) == 512 for box in table[:-1])


def test_images_that_share_a_run_have_the_pixels_of_one():
    assert [rows_of_a_run(side * side) for side in (128, 1024, 1536, 4096)] == [8, 2, 1, 1]

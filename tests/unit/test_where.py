"""Where an operation of a photograph applies, and that it changes nothing elsewhere."""

import random

import numpy as np
import pytest

from retouch.families.instructx.picture_parts import BOXES, SCATTERED, WHOLE, box_of
from training.operation import Operation
from training.photo import places, retouching
from training.photo.colours import BANDS, coverage, rehued, weight
from training.vocabulary import CORNERS, HALVES, HUES, WHERES
from training_pictures import photographs


@pytest.fixture(scope="module")
def photo():
    (pixels,) = [row.pixels for row in photographs() if row.name == "fig"]
    return pixels[:256, :384].astype(np.float32) / 255


@pytest.mark.parametrize("where", WHERES)
def test_weights_are_shares_and_what_has_none_keeps_its_pixels(photo, where):
    share = places.weights(photo, where, "red")
    assert share.shape == photo.shape[:2]
    assert share.min() >= 0 and share.max() <= 1
    assert share.max() > 0.9
    edited = retouching.perform(photo, Operation("invert", where=where, where_colour="red"))
    assert (edited[share == 0] == photo[share == 0]).all()
    assert (edited[share > 0.5] != photo[share > 0.5]).any()


@pytest.mark.parametrize("where", HALVES + CORNERS)
def test_a_place_lies_in_its_box(photo, where):
    height, width, _ = photo.shape
    x0, y0, x1, y1 = box_of(where)
    margin = 0.05
    rows = (np.arange(height) + 0.5) / height
    columns = (np.arange(width) + 0.5) / width
    near = (
        ((rows > y0 - margin) & (rows < y1 + margin))[:, None]
        & (columns > x0 - margin)
        & (columns < x1 + margin)
    )
    share = places.weights(photo, where)
    assert not share[~near].any()
    assert share[near].mean() > 0.75


def test_every_part_is_in_one_box_or_scattered():
    assert sorted([*BOXES, *SCATTERED]) == sorted(WHERES)


def test_what_has_no_one_place_has_the_whole_picture_for_a_box():
    assert box_of("edges") == box_of("dark parts") == box_of("none") == WHOLE


@pytest.mark.parametrize("colour", HUES)
def test_a_hue_is_its_own_colour_and_no_other(colour):
    hue = np.array([[[BANDS[colour][0] / 360]]])
    sector = (hue * 6) % 6
    pixel = (
        np.clip(
            np.stack([np.abs(sector - 3) - 1, 2 - np.abs(sector - 2), 2 - np.abs(sector - 4)], -1),
            0,
            1,
        )
        .reshape(1, 1, 3)
        .astype(np.float32)
    )
    shares = {other: float(weight(pixel * 0.8, other)[0, 0]) for other in HUES}
    assert max(shares, key=shares.__getitem__) == colour
    assert shares[colour] > 0.9


def test_grey_has_no_hue():
    grey = np.full((4, 4, 3), 0.5, np.float32)
    assert max(coverage(grey).values()) == 0


def test_recoloured_parts_have_the_new_hue(photo):
    assert coverage(photo)["red"] > retouching.PRESENT
    blue = rehued(photo, "blue")
    red_before = weight(photo, "red") > 0.9
    assert weight(blue, "blue")[red_before].mean() > 0.8


def test_a_colour_that_is_not_there_is_not_present(photo):
    grey = np.repeat(photo.mean(2, keepdims=True), 3, 2)
    drawn = [retouching.draw(random.Random(seed), grey) for seed in range(200)]
    limited = [operation for operation in drawn if operation.where_colour != "none"]
    assert limited
    assert not any(operation.present for operation in limited)

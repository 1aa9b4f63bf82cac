"""The exact results of retouching: what they do to colours, and that a small copy of a result is
the result for a small copy."""

import cv2
import numpy as np
import pytest

from training.photo import tones
from training.photo.colours import luma
from training.vocabulary import AMOUNTS, GRADED, PHOTO_OPS
from training_pictures import photographs


@pytest.fixture(scope="module")
def photo():
    (pixels,) = [row.pixels for row in photographs() if row.name == "fig"]
    return cv2.resize(pixels, (320, 320), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


@pytest.mark.parametrize("op", PHOTO_OPS)
def test_every_operation_changes_the_picture_and_stays_in_range(photo, op):
    edited = tones.apply(photo, op, colour="blue")
    assert edited.shape == photo.shape
    assert edited.dtype == np.float32
    assert edited.min() >= 0 and edited.max() <= 1
    assert np.abs(edited - photo).mean() > 0.002


@pytest.mark.parametrize("op", GRADED)
def test_amounts_are_ordered(photo, op):
    changes = [
        np.abs(tones.apply(photo, op, amount, "red") - photo).mean()
        for amount in ("slight", "none", "strong")
    ]
    assert changes == sorted(changes)
    assert changes[2] > 1.2 * changes[0]


@pytest.mark.parametrize("op", [op for op in PHOTO_OPS if op not in ("posterise", "sharpen")])
def test_a_small_copy_of_the_result_is_the_result_for_a_small_copy(photo, op):
    half = cv2.resize(photo, (160, 160), interpolation=cv2.INTER_AREA)
    edited = tones.apply(photo, op, colour="red")
    exact = cv2.resize(edited, (160, 160), interpolation=cv2.INTER_AREA)
    own = tones.apply(half, op, colour="red")
    assert np.abs(own - exact).mean() < 0.012


def test_directions(photo):
    light = luma(photo).mean()
    assert (
        luma(tones.apply(photo, "brighter")).mean()
        > light
        > luma(tones.apply(photo, "darker")).mean()
    )
    warm = tones.apply(photo, "warmer")
    cold = tones.apply(photo, "cooler")
    assert (warm - cold)[..., 0].mean() > 0 > (warm - cold)[..., 2].mean()
    assert np.allclose(tones.apply(photo, "invert"), 1 - photo)
    grey = tones.apply(photo, "grey")
    assert np.abs(grey - grey[..., :1]).max() < 1e-5
    assert luma(tones.apply(photo, "contrast")).std() > luma(photo).std()


@pytest.mark.parametrize("amount", ("none", *AMOUNTS))
def test_pixelated_blocks_are_flat(photo, amount):
    edited = tones.apply(photo, "pixelate", amount)
    side = 320 // tones.BLOCKS[amount]
    blocks = edited.reshape(320 // side, side, 320 // side, side, 3)
    assert np.ptp(blocks, axis=(1, 3)).max() < 1e-6

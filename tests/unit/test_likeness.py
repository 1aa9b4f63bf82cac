"""PSNR and the squared error it comes from."""

from __future__ import annotations

import math

import numpy as np
import pytest

from training.likeness import Likeness, likeness, psnr

GREY = np.full((32, 32, 3), 100, np.uint8)


def test_a_picture_moved_by_levels_in_both_directions():
    for levels in (10, -10):
        moved = likeness((GREY + levels).astype(np.uint8), GREY, lambda a, b: 0.25)
        assert (moved.mse, moved.lpips, moved.identical) == (100, 0.25, False)
        assert psnr([moved]) == pytest.approx(28.13, abs=0.005)  # 20 log10(255 / 10)


def test_identical_pictures():
    same = likeness(GREY, GREY.copy(), lambda a, b: 0.0)
    assert same.identical and psnr([same]) == math.inf


def test_the_mean_is_that_of_the_squared_error():
    scenes = [Likeness(0.0, 0.0), Likeness(0.1, 200.0)]
    assert psnr(scenes) == pytest.approx(psnr([Likeness(0.0, 100.0)]))

"""Marks: where they are drawn is what their box says."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.marks import DRAW
from training.vocabulary import MARKS

SAMPLE = Path(__file__).parents[1] / "images" / "photos" / "fig.jpg"
SIZES = [(128, 128), (96, 160), (160, 96), (600, 900)]


def picture(size: tuple[int, int]) -> np.ndarray:
    """The sample photograph, [height, width, 3]."""
    return np.array(Image.open(SAMPLE).resize((size[1], size[0])))


def test_every_mark_of_the_vocabulary_can_be_drawn():
    assert set(DRAW) == set(MARKS)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mark", MARKS)
def test_a_mark_changes_its_box_alone(mark, size):
    height, width = size
    pixels = picture(size)
    before = pixels.copy()
    for seed in range(12):
        marked, (x0, y0, x1, y1) = DRAW[mark](random.Random(seed), pixels)
        assert marked.shape == pixels.shape
        assert marked.dtype == np.uint8
        assert 0 <= x0 < x1 <= 1
        assert 0 <= y0 < y1 <= 1
        changed = np.abs(marked.astype(int) - pixels).max(-1)
        box = np.zeros(size, bool)
        box[round(y0 * height) : round(y1 * height), round(x0 * width) : round(x1 * width)] = True
        assert changed[~box].max(initial=0) <= 20
        assert (changed[box] > 20).mean() > 0.01
    assert np.array_equal(pixels, before)


@pytest.mark.parametrize("mark", MARKS)
def test_a_seed_draws_the_same_mark_and_the_next_another(mark):
    pixels = picture((128, 128))
    first, box = DRAW[mark](random.Random(1), pixels)
    again, same_box = DRAW[mark](random.Random(1), pixels)
    other, _ = DRAW[mark](random.Random(2), pixels)
    assert np.array_equal(first, again)
    assert box == same_box
    assert not np.array_equal(first, other)


def test_text_takes_about_a_third_of_the_width():
    pixels = picture((600, 900))
    boxes = [DRAW["text"](random.Random(seed), pixels)[1] for seed in range(30)]
    widths = [box[2] - box[0] for box in boxes]
    assert min(widths) > 0.15
    assert max(widths) < 0.5
    assert 0.25 < np.mean(widths) < 0.4


def test_text_stands_out_on_any_ground():
    for brightness in (0, 90, 128, 170, 255):
        pixels = np.full((128, 128, 3), brightness, np.uint8)
        marked, _ = DRAW["text"](random.Random(brightness), pixels)
        assert np.abs(marked.astype(int) - pixels).max() >= 60


def test_a_date_is_in_a_corner():
    pixels = picture((600, 900))
    for seed in range(30):
        x0, y0, x1, y1 = DRAW["date"](random.Random(seed), pixels)[1]
        assert x0 < 0.1 or x1 > 0.9
        assert y0 < 0.15 or y1 > 0.85


def test_a_stain_darkens_and_never_brightens():
    pixels = picture((128, 128))
    for seed in range(10):
        marked, _ = DRAW["stain"](random.Random(seed), pixels)
        assert (marked <= pixels).all()
        assert (pixels.astype(int) - marked).max() > 20

"""Lab and CIEDE2000 against the formula's published pairs and against libvips."""

from __future__ import annotations

import numpy as np
import pytest
import pyvips
from hypothesis import given
from hypothesis import strategies as some

from retouch.imaging.colour_difference import CHUNK, ciede2000, mean_difference
from retouch.imaging.lab import lab_of
from training.photo.judge import colour_difference

# of table 1 of Sharma, Wu and Dalal: two colours and their difference; among them hues about 0 and
# opposite hues
PUBLISHED = (
    ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
    ((50, 0, 0), (50, -1, 2), 2.3669),
    ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
    ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
    ((50, 2.49, -0.001), (50, -2.49, 0.0011), 7.2195),
    ((50, -0.001, 2.49), (50, 0.0009, -2.49), 4.8045),
    ((50, -0.001, 2.49), (50, 0.0011, -2.49), 4.7461),
    ((50, 2.5, 0), (73, 25, -18), 27.1492),
    ((22.7233, 20.0904, -46.6940), (23.0331, 14.9730, -42.5619), 2.0373),
    ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
)
COLOUR = some.tuples(*[some.integers(0, 255)] * 3)


@pytest.mark.parametrize("first, second, difference", PUBLISHED)
def test_published_pairs(first, second, difference):
    pair = np.array(first, float), np.array(second, float)
    assert ciede2000(*pair) == pytest.approx(difference, abs=1e-4)
    assert ciede2000(*reversed(pair)) == pytest.approx(difference, abs=1e-4)


def pictures():
    """Of random colours, near each other in one half."""
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 256, (2, 96, 64, 3), np.uint8)
    second[:48] = (first[:48] + rng.integers(-9, 10, (48, 64, 3))).clip(0, 255)
    return first, second


def test_libvips_has_the_same_colours_and_differences():
    """Where hues do not pass 0: there libvips takes the mean hue a turn lower than the formula."""
    first, second = pictures()
    theirs = [
        pyvips.Image.new_from_array(pixels, interpretation="srgb").colourspace("lab")
        for pixels in (first, second)
    ]
    for image, pixels in zip(theirs, (first, second)):
        np.testing.assert_allclose(image.numpy(), lab_of(pixels), atol=0.04)
    ours = [image.numpy().astype(float) for image in theirs]
    hues = [np.degrees(np.arctan2(lab[..., 2], lab[..., 1])) % 360 for lab in ours]
    is_plain = np.abs(hues[0] - hues[1]) < 170
    difference = ciede2000(*ours) - theirs[0].dE00(theirs[1]).numpy()
    assert is_plain.mean() > 0.7 and np.abs(difference[is_plain]).max() < 1e-3


def test_the_mean_is_that_of_the_judge_of_photographs():
    """Of pixels near each other, in more than one chunk."""
    first, second = (np.tile(pixels[:48], (30, 1, 1)) for pixels in pictures())
    inside = np.ones(first.shape[:2], bool)
    inside[:7] = False
    assert inside.sum() > CHUNK
    mean = mean_difference(first, second, inside)
    assert mean == pytest.approx(colour_difference(first, second, inside), rel=0.02)
    assert mean_difference(first, second, np.zeros_like(inside)) == 0


@given(COLOUR, COLOUR)
def test_a_difference_is_symmetric_and_zero_for_one_colour_alone(first, second):
    pair = lab_of(np.array([first, second], np.uint8))
    difference = ciede2000(pair[0], pair[1])
    assert difference == pytest.approx(ciede2000(pair[1], pair[0]), abs=1e-9)
    assert (difference == 0) == (first == second)

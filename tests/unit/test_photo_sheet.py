"""The contact sheet of held-out edits of photographs."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from photo_answers import BAD, GOOD
from retouch.families.instructx.picture_parts import WHOLE
from training.example import Example
from training.operation import Item, Operation
from training.photo import sheet
from training.photo.evaluation import Sample
from training.photo.held_out import PhotoEdit

RED = (200, 0, 0)
GREEN = (0, 200, 0)
BLUE = (0, 0, 200)


def flat(colour):
    return np.full((96, 160, 3), colour, np.uint8)


def sample(judgement=GOOD, sentence="make it green", pixels=None):
    operations = (Operation("tint", colour="green"),)
    example = Example(sentence, flat(RED), flat(BLUE), operations, np.zeros((60, 2), np.int64))
    return Sample(PhotoEdit("tone", example), flat(GREEN) if pixels is None else pixels, judgement)


def test_the_numbers_are_random_and_always_the_same():
    edits = range(0, 600, 2)
    numbers = sheet.sample_numbers(edits)
    assert len(numbers) == 40 and numbers == sheet.sample_numbers(edits)
    assert max(numbers) > 400 and numbers < {*edits}
    assert sheet.sample_numbers(range(3)) == {0, 1, 2}


def test_a_tile_shows_source_answer_and_exact_result():
    (tile,) = [np.asarray(sheet.photo_sheet([sample()]))]
    middle = sheet.HEADING + sheet.CAPTION + 30
    step = sheet.TILE + sheet.GAP
    assert [tuple(tile[middle, 50 + number * step]) for number in range(3)] == [RED, GREEN, BLUE]


def test_success_and_failure_are_written_in_their_colours():
    left, right = np.split(np.asarray(sheet.photo_sheet([sample(), sample(BAD)])), 2, axis=1)
    line = slice(sheet.HEADING + 16, sheet.HEADING + sheet.CAPTION)
    assert inked(left[line], channel=1) and not inked(left[line], channel=0)
    assert inked(right[line], channel=0) and not inked(right[line], channel=1)


def inked(pixels, channel):
    """Whether some text has clearly more of a channel than of the others."""
    others = np.delete(pixels.astype(int), channel, axis=2).max(-1)
    return bool((pixels[..., channel] - others > 60).any())


@pytest.mark.parametrize("count, rows", [(1, 1), (4, 1), (5, 2), (40, 10)])
def test_a_row_has_four_edits(count, rows):
    paper = sheet.photo_sheet([sample()] * count)
    one = sheet.photo_sheet([sample()])
    assert paper.height - sheet.HEADING == rows * (one.height - sheet.HEADING)
    assert paper.width == min(count, 4) * one.width


def test_the_file_fits_its_limit():
    rng = np.random.default_rng(0)
    noise = [
        sample(pixels=rng.integers(0, 256, (96, 160, 3), dtype=np.uint8)) for number in range(8)
    ]
    paper = sheet.photo_sheet(noise)
    best = sheet.to_jpeg(paper)
    small = sheet.to_jpeg(paper, largest=len(best) - 1)
    assert len(small) < len(best) <= sheet.LARGEST_FILE
    with Image.open(io.BytesIO(small)) as image:
        assert image.format == "JPEG" and image.size == paper.size
    assert sheet.to_jpeg(paper, largest=1) == sheet.to_jpeg(paper, largest=2)


@pytest.mark.parametrize(
    "sentence, shown",
    [
        ("Éclaircis les ombres, s’il te plaît", "Eclaircis les ombres, s'il te plait"),
        ("die weiße Figur größer", "die weisse Figur grosser"),
        ("把红色的星星变成蓝色", "(recolour red star blue star slight left half)"),
        ("a " * 60, "a " * 38 + "a..."),
    ],
)
def test_captions_have_letters_that_the_font_has(sentence, shown):
    red, blue = (Item("star", WHOLE, colour) for colour in ("red", "blue"))
    operation = Operation("recolour", red, blue, amount="slight", where="left half")
    assert sheet.caption(sentence, (operation,)) == shown


def test_a_cut_out_has_no_colour_word():
    operation = Operation("remove", Item("duck", WHOLE))
    assert sheet.caption("删除鸭子", (operation,)) == "(remove duck)"


def test_the_verdict_names_what_failed():
    assert sheet.verdict(GOOD) == "yes: difference 1.0 of 10.0"
    assert sheet.verdict(BAD) == "NO: difference 7.0 of 10.0, 3 pixels moved outside"

"""Named cut-outs: kinds, sizes, pasting."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from training.render import COLOURS, KINDS
from training.stamps import Stamp, fit, load_kinds, load_stamps, paste, read_stamp
from training.vocabulary import MARKS

ARTICLES = {"de": {"der", "die", "das"}, "fr": {"le", "la"}, "es": {"el", "la"}}


def disc(side: int = 100) -> np.ndarray:
    """A red disc on green that is transparent, [side, side, 4]."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    rgba = np.zeros((side, side, 4), np.uint8)
    rgba[..., 1] = 255
    inside = np.hypot(x, y) < side / 2
    rgba[inside] = (255, 0, 0, 255)
    return rgba


def test_kinds_have_nouns_in_five_languages_and_share_none():
    kinds = load_kinds()
    nouns = {}
    for kind, entry in kinds.items():
        assert re.fullmatch(r"[a-z]+", kind)
        assert entry["en"][0] == kind
        assert 1 <= len(entry["files"]) <= 4
        for language, articles in ARTICLES.items():
            article, noun = entry[language]
            assert article in articles, kind
            assert nouns.setdefault((language, noun), kind) == kind
        for language in ("en", "zh"):
            for noun in entry[language]:
                assert nouns.setdefault((language, noun), kind) == kind
    english = {noun for language, noun in nouns if language == "en"}
    assert not english & {*COLOURS, *KINDS, *MARKS}


def test_the_first_wave_is_some_sixty_kinds_and_the_second_adds_to_it():
    first = load_kinds(wave=1)
    assert 60 <= len(first) <= 80
    assert set(first) < set(load_kinds())


def test_fit_keeps_the_shape_and_its_border_takes_no_colour_from_outside():
    stamp = Stamp("ball", disc())
    small = fit(stamp, 20)
    assert small.shape == (20, 20, 4)
    visible = small[..., 3] > 32
    assert small[visible][:, 0].min() > 240
    assert small[visible][:, 1].max() < 15
    assert abs(small[..., 3].mean() / 255 - np.pi / 4) < 0.03
    wide = Stamp("bus", np.full((30, 90, 4), 255, np.uint8))
    assert fit(wide, 45).shape == (15, 45, 4)


def test_paste_composites_and_leaves_the_rest_alone():
    pixels = np.full((60, 80, 3), 100, np.uint8)
    rgba = np.zeros((10, 20, 4), np.uint8)
    rgba[:, :10] = (200, 0, 50, 255)
    rgba[:, 10:] = (200, 0, 50, 128)
    result = paste(pixels, rgba, (40, 30))
    assert (pixels == 100).all()
    assert (result[25:35, 30:40] == (200, 0, 50)).all()
    assert np.abs(result[25:35, 40:50].astype(int) - (150, 50, 75)).max() <= 1
    result[25:35, 30:50] = 100
    assert (result == 100).all()


@pytest.mark.parametrize("centre", [(0, 0), (80, 60), (-3, 30), (79, -4)])
def test_paste_is_clipped_at_the_borders(centre):
    pixels = np.zeros((60, 80, 3), np.uint8)
    rgba = np.full((10, 20, 4), 255, np.uint8)
    result = paste(pixels, rgba, centre)
    y, x = np.mgrid[:60, :80] + 0.5
    covered = (np.abs(x - centre[0]) < 10) & (np.abs(y - centre[1]) < 5)
    assert covered.any()
    assert ((result == 255).all(-1) == covered).all()


def test_paste_outside_changes_nothing():
    pixels = np.zeros((20, 20, 3), np.uint8)
    assert (paste(pixels, disc(8), (60, 10)) == pixels).all()


def test_a_file_is_cropped_to_what_is_seen(tmp_path):
    rgba = np.zeros((50, 70, 4), np.uint8)
    rgba[20:30, 10:40] = (1, 2, 3, 255)
    Image.fromarray(rgba).save(tmp_path / "bar.png")
    stamp = read_stamp("bar", tmp_path / "bar.png")
    assert stamp.rgba.shape == (10, 30, 4)
    Image.fromarray(np.full((1200, 900, 4), 255, np.uint8)).save(tmp_path / "wall.png")
    assert read_stamp("wall", tmp_path / "wall.png").rgba.shape == (512, 384, 4)


def test_every_kind_loads():
    try:
        stamps = load_stamps()
    except FileNotFoundError as error:
        pytest.skip(str(error))
    for kind, entry in load_kinds().items():
        assert len(stamps[kind]) == len(entry["files"])
        for stamp in stamps[kind]:
            assert stamp.kind == kind
            assert (stamp.rgba[..., 3] < 128).any()
            assert (stamp.rgba[..., 3] > 128).any()


def test_missing_cut_outs_name_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match="make photos"):
        load_stamps(folder=tmp_path)

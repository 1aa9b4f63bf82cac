"""`retouch calibrate-data`: a folder of photos becomes what an export is calibrated with."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from retouch.imaging import images
from retouch_clients.commands.calibrate_data import calibrate_data
from retouch_export.calibrate import pairs


def make_photo(path, size=(48, 32), **options):
    Image.fromarray(
        np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    ).save(path, **options)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    make_photo(folder / "a.png")
    make_photo(folder / "b.JPG", (1600, 900))
    (folder / "c.jpg").write_bytes(b"no photo")
    (folder / "._a.png").write_bytes(b"of a file manager")
    (folder / "notes.txt").write_text("")
    return folder


def run(*arguments):
    return CliRunner().invoke(
        calibrate_data, [str(argument) for argument in arguments], catch_exceptions=False
    )


def test_pairs_are_what_an_export_reads(photos, tmp_path):
    done = run(photos, "--checkpoint", tmp_path, "--count", 6)
    assert (
        done.exit_code == 0
        and "skipped c.jpg" in done.stderr
        and "wrote 6 pairs of 2 photos" in done.stdout
    )
    read_pairs = pairs(tmp_path)
    assert len({(pair.image, pair.instruction) for pair in read_pairs}) == 6
    assert {images.decode(pair.image).shape for pair in read_pairs} == {(32, 48, 3), (576, 1024, 3)}


def test_instructions_of_ones_own(photos, tmp_path):
    (tmp_path / "lines.txt").write_text("make it red\n\nmake it Öl\n", encoding="utf-8-sig")
    assert (
        run(photos, "--checkpoint", tmp_path, "--instructions", tmp_path / "lines.txt").exit_code
        == 0
    )
    assert {pair.instruction for pair in pairs(tmp_path)} == {"make it red", "make it Öl"} and len(
        pairs(tmp_path)
    ) == 4


def test_what_is_there_stays_without_force(photos, tmp_path):
    assert run(photos, "--checkpoint", tmp_path).exit_code == 0
    refused = run(photos, "--checkpoint", tmp_path)
    assert refused.exit_code == 1 and "--force replaces it" in refused.output
    assert (
        run(photos, "--checkpoint", tmp_path, "--count", 1, "--force").exit_code == 0
        and len(pairs(tmp_path)) == 1
    )


@pytest.mark.parametrize(
    "content, message", [("\n \n", "holds no instruction"), ("x" * 2001, "2,000 are allowed")]
)
def test_bad_instructions_are_one_sentence(photos, tmp_path, content, message):
    (tmp_path / "lines.txt").write_text(content)
    done = run(photos, "--checkpoint", tmp_path, "--instructions", tmp_path / "lines.txt")
    assert (
        done.exit_code == 1 and message in done.output and not (tmp_path / "calibration").exists()
    )


def test_a_folder_without_photos_is_one_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    done = run(tmp_path / "empty", "--checkpoint", tmp_path)
    assert done.exit_code == 1 and "is a photo that can be read" in done.output
    assert not (tmp_path / "calibration").exists()


@pytest.mark.parametrize(
    "line, message",
    [
        ("{", "line 1 of calibration/pairs.jsonl"),
        ('{"image": "x.png"}', "names image"),
        ('{"image": "x.png", "instruction": "y"}', "cannot be read"),
    ],
)
def test_a_damaged_list_is_one_sentence(tmp_path, line, message):
    (tmp_path / "calibration").mkdir()
    (tmp_path / "calibration" / "pairs.jsonl").write_text(line)
    with pytest.raises(ValueError, match=message):
        pairs(tmp_path)

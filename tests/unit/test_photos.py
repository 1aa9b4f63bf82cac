"""Photographs: crops, preparation, the list and its splits."""

from __future__ import annotations

import io
import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training import archives, photo_credits, photo_list, photo_preparation
from training.archives import Package
from training.photo_list import HELD_OUT, TRAINING, Entry, read_list
from training.photos import Photo, crop, load_photos

SAMPLES = Path(__file__).parents[1] / "images" / "photos"


@pytest.fixture(scope="module")
def prepared() -> list[dict]:
    try:
        return photo_preparation.read_index(photo_list.FOLDER)
    except FileNotFoundError as error:
        pytest.skip(str(error))


def sample(name: str) -> Photo:
    path = SAMPLES / f"{name}.jpg"
    return Photo(name, np.array(Image.open(path)), path)


def entry(name: str, split: str = TRAINING) -> Entry:
    return Entry(name, "a-package", f"usr/share/{name}.jpg", "CC0-1.0", "A. Person", split)


def striped(width: int, height: int) -> Image.Image:
    """Red grows to the right, green downwards."""
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([x * 255 // (width - 1), y * 255 // (height - 1), np.zeros_like(x)], -1)
    return Image.fromarray(pixels.astype(np.uint8))


@pytest.mark.parametrize("size", [(128, 128), (96, 160), (160, 96), (40, 900)])
def test_a_crop_has_its_size_and_comes_from_inside(size):
    pixels = np.array(striped(640, 480))
    photo = Photo("ramp", pixels, Path("ramp.png"))
    spans = []
    for seed in range(40):
        part = crop(random.Random(seed), photo, size)
        assert part.shape == (*size, 3)
        assert part.dtype == np.uint8
        red = part[..., 0].astype(float).mean(0)
        spans.append(abs(red[-1] - red[0]) / 255 * 639 + 1)
    largest = min(640, 480 * size[1] / size[0])
    assert 0.45 * largest < min(spans) < 0.65 * largest
    assert 0.85 * largest < max(spans) <= largest + 1


def test_half_of_the_crops_are_flipped():
    photo = Photo("ramp", np.array(striped(640, 480)), Path("ramp.png"))
    parts = [crop(random.Random(seed), photo, (64, 64)) for seed in range(200)]
    flipped = sum(int(part[0, 0, 0]) > int(part[0, -1, 0]) for part in parts)
    assert 60 < flipped < 140


def test_a_seed_gives_the_same_crop_and_the_next_another():
    photo = sample("chelsea")
    first = crop(random.Random(1), photo, (128, 128))
    assert np.array_equal(first, crop(random.Random(1), photo, (128, 128)))
    assert not np.array_equal(first, crop(random.Random(2), photo, (128, 128)))


def test_a_crop_keeps_the_photographs_mean_colour():
    photo = sample("aitzgorri")
    means = [crop(random.Random(i), photo, (96, 144)).mean((0, 1)) for i in range(60)]
    assert np.abs(np.mean(means, 0) - photo.pixels.mean((0, 1))).max() < 15


def test_a_photograph_is_turned_upright_and_loses_alpha():
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    out = io.BytesIO()
    striped(40, 20).save(out, "JPEG", exif=exif)
    assert photo_preparation.upright(out.getvalue()).size == (20, 40)
    out = io.BytesIO()
    striped(40, 20).convert("RGBA").save(out, "PNG")
    assert photo_preparation.upright(out.getvalue()).mode == "RGB"


def test_preparation_writes_small_files_and_an_index(tmp_path):
    entries = [entry("wide"), entry("small", HELD_OUT)]
    for item, size in zip(entries, [(2000, 900), (300, 200)]):
        item.original(tmp_path).parent.mkdir(exist_ok=True)
        striped(*size).save(item.original(tmp_path), quality=95)
    assert photo_preparation.prepare([], entries, tmp_path) == []
    wide, small = photo_preparation.read_index(tmp_path)
    assert Image.open(entries[0].prepared(tmp_path)).size == (1024, 461)
    assert Image.open(entries[1].prepared(tmp_path)).size == (300, 200)
    assert (wide["width"], wide["height"], wide["split"]) == (2000, 900, TRAINING)
    assert small["split"] == HELD_OUT
    assert len(wide["sha256"]) == 64
    assert (tmp_path / small["original"]).exists()


def test_a_missing_package_is_reported_and_the_others_are_prepared(tmp_path, monkeypatch):
    monkeypatch.setattr(archives.shutil, "which", lambda name: None)
    entries = [entry("here"), entry("lost")]
    entries[0].original(tmp_path).parent.mkdir()
    striped(300, 200).save(entries[0].original(tmp_path))
    (error,) = photo_preparation.prepare([Package("a-package", "debian")], entries, tmp_path)
    assert "a-package_*.deb" in error
    assert [record["name"] for record in photo_preparation.read_index(tmp_path)] == ["here"]


def test_a_package_that_lacks_a_file_is_reported(tmp_path):
    lost = replace(entry("lost"), path="numpy/no-such-photo.jpg")
    package = Package("a-package", "python", "0", "numpy")
    (error,) = photo_preparation.prepare([package], [lost], tmp_path)
    assert "lacks 1 of the listed files" in error
    assert "numpy/no-such-photo.jpg" in error


def test_near_duplicates_are_seen_and_others_are_not():
    photos = {name: Image.open(SAMPLES / f"{name}.jpg") for name in ("fig", "chelsea", "aitzgorri")}
    smaller = photos["fig"].resize((200, 135)).point(lambda value: min(255, value + 12))
    hashes = {name: photo_preparation.difference_hash(image) for name, image in photos.items()}
    hashes["fig again"] = photo_preparation.difference_hash(smaller)
    assert photo_preparation.near_duplicates(hashes) == [("fig", "fig again")]


def test_the_list_is_complete_and_its_split_is_large_enough():
    packages, entries = read_list()
    assert {item.package for item in entries} == {package.name for package in packages}
    names = Counter(item.name for item in entries)
    assert max(names.values()) == 1
    paths = Counter((item.package, item.path) for item in entries)
    assert max(paths.values()) == 1
    splits = Counter(item.split for item in entries)
    assert set(splits) == {TRAINING, HELD_OUT}
    assert splits[HELD_OUT] >= 24
    assert len(entries) >= 120
    assert all(item.licence and item.author for item in entries)


def test_committed_samples_are_held_out_and_small():
    _, entries = read_list()
    held_out = {item.name for item in entries if item.split == HELD_OUT}
    files = sorted(SAMPLES.glob("*.jpg"))
    committed = {Path(file).name: name for file, name, _ in photo_credits.COMMITTED}
    assert {path.name for path in files} <= set(committed) and set(committed.values()) <= held_out
    for path in files:
        assert path.stem in held_out
        assert path.stat().st_size <= 60_000
        assert max(Image.open(path).size) <= 512


def test_credits_name_every_photograph():
    _, entries = read_list()
    text = photo_credits.FILE.read_text()
    for item in entries:
        row = next(line for line in text.splitlines() if line.startswith(_cell(item)))
        assert f"| {item.licence} | {item.split} |" in row, item.name


def test_credits_are_what_the_index_says(prepared):
    if len(prepared) < len(read_list()[1]):
        pytest.skip("some photographs are missing; run `make photos`")
    assert photo_credits.document(prepared) == photo_credits.FILE.read_text(), (
        "run `python -m training.photos --credits`"
    )


def test_no_prepared_photograph_looks_like_another(prepared):
    hashes = {record["name"]: int(record["difference_hash"], 16) for record in prepared}
    assert photo_preparation.near_duplicates(hashes) == []


def test_six_held_out_originals_have_eight_megapixels(prepared):
    large = [
        record
        for record in prepared
        if record["split"] == HELD_OUT and record["width"] * record["height"] >= 8_000_000
    ]
    assert len(large) >= 6


def test_held_out_photographs_load(prepared):
    photos = load_photos(HELD_OUT)
    assert len(photos) >= 24
    for photo in photos:
        assert photo.pixels.dtype == np.uint8
        assert max(photo.pixels.shape) <= photo_preparation.LONG_SIDE
        assert photo.original.exists()


def test_an_unknown_split_and_an_empty_folder_are_errors(tmp_path):
    with pytest.raises(ValueError, match="held out"):
        load_photos("test")
    with pytest.raises(FileNotFoundError, match="make photos"):
        load_photos(TRAINING, tmp_path)


def _cell(item: Entry) -> str:
    return f"| [{item.name}](" if item.source else f"| {item.name} |"

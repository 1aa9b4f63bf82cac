"""Edits of a small picture keep the detail of a large photo, against exact targets."""

from __future__ import annotations

import io
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.detail import psnr, with_noise, working_size
from benchmarks.photo_edits import EDITS, as_bytes, as_floats
from outside import P3, mask_of, stored
from pictures import file_of
from retouch.api.request import EditRequest
from retouch.api.response import Detail, EditInfo
from retouch.families.registry import family_of
from retouch.imaging import images, rgb_profile
from retouch.imaging.colour_map import ColourMap, ColourSamples
from retouch.imaging.detail import Change
from retouch.imaging.drift import fit_back
from retouch.imaging.enlarged import Enlarged
from retouch.routing.router import Choice
from retouch.serving.postprocess import postprocess
from retouch.serving.preprocess import preprocess
from retouch.serving.source_image import SourceImage
from retouch_clients.cli.output_files import format_of

BY_NAME = {edit.name: edit for edit in EDITS}
PHOTOS = ("cheetah.jpg", "tower.jpg", "groot.jpeg")
SIDE = 128
FAMILY = family_of("instructx", {"patch": 8, "shift": 3.0})
# decibels by which an edit is nearer to its target than the enlarged one, in every photo
GAINS = {
    "warmer": 15,
    "brighter": 9,
    "contrast": 8,
    "black and white": 10,
    "sepia": 10,
    "fade": 12,
    "invert": 6,
    "posterise": 1,
    "vignette": 7,
    "left half grey": 9,
    "corner brighter": 9,
    "red parts blue": 6,
    "all but red grey": 8,
    "dark parts brighter": 6,
    "sharpen": 4,
    "edges blurred": 3,
    "add a pattern": 5,
    "add a flat shape": 5,
    "remove": 1.5,
}


@cache
def photo(name: str) -> np.ndarray:
    """One of Gradio's examples, uint8 [h, w, 3]."""
    spec = find_spec("gradio")
    assert spec and spec.origin
    path = Path(spec.origin).parent / "media_assets" / "images" / name
    return np.asarray(Image.open(path).convert("RGB"))


def small(pixels):
    return images.fit(pixels, working_size(*pixels.shape[:2], SIDE))


def pair_of(edit, pixels):
    """The source image of an edit and its target, uint8."""
    floats = as_floats(pixels)
    return as_bytes(edit.before(floats)), as_bytes(edit.of(floats))


def decoded(pixels):
    """What an autoencoder makes of pixels whose latents are means of 2 × 2 of them."""
    height, width, _ = pixels.shape
    return images.fit(images.fit(pixels, (height // 2, width // 2)), (height, width))


def change_of(source, edited, finest_detail=1):
    """The change of a whole photo to a small edit."""
    everywhere = np.ones(edited.shape[:2], bool)
    return Change.of(images.fit(source, edited.shape[:2]), edited, everywhere, finest_detail)


@pytest.mark.parametrize("noise", (0, 3))
@pytest.mark.parametrize("name", GAINS)
def test_an_edit_is_nearer_to_its_target_than_the_enlarged_one(name, noise):
    for picture in PHOTOS:
        source, target = pair_of(BY_NAME[name], photo(picture))
        edited = with_noise(small(target), noise)
        answer = change_of(source, edited).apply(source)
        enlarged = images.fit(edited, source.shape[:2])
        assert psnr(answer, target) > psnr(enlarged, target) + GAINS[name], picture


@pytest.mark.parametrize("name", ("blur", "pixelate"))
def test_what_loses_detail_is_the_enlarged_edit(name):
    for picture in PHOTOS:
        source, target = pair_of(BY_NAME[name], photo(picture))
        edited = small(target)
        change = change_of(source, edited)
        enlarged = images.fit(edited, source.shape[:2])
        assert change.detail.composite > 0.8
        assert psnr(change.apply(source), target) > psnr(enlarged, target) - 2


@pytest.mark.parametrize("name", ("warmer", "darker", "left half grey", "sepia", "fade"))
def test_the_blur_of_an_autoencoder_is_no_lost_detail(name):
    """Of one whose latents are means of 2 × 2 pixels."""
    for picture in PHOTOS:
        source, target = pair_of(BY_NAME[name], photo(picture))
        edited = decoded(small(target))
        change = change_of(source, edited, finest_detail=2)
        enlarged = images.fit(edited, source.shape[:2])
        assert change.detail.composite < 0.4
        assert psnr(change.apply(source), target) > psnr(enlarged, target) + 6


@pytest.mark.parametrize("name", ("blur", "pixelate"))
def test_a_blur_is_lost_detail_with_every_autoencoder(name):
    for picture in PHOTOS:
        source, target = pair_of(BY_NAME[name], photo(picture))
        assert change_of(source, decoded(small(target)), finest_detail=2).detail.composite > 0.6


def test_a_changed_object_takes_the_detail_of_its_place_alone():
    """Nothing of a removed object is left to see, and the photo around it is untouched."""
    source, target = pair_of(BY_NAME["remove"], photo("groot.jpeg"))
    change = change_of(source, small(target))
    answer = change.apply(source).astype(int)
    was_there = np.abs(source.astype(int) - target).max(2) > 0
    assert 0.03 < change.detail.composite < 0.25
    assert (
        np.abs(answer - target)[was_there].mean() < 0.4 * np.abs(source - answer)[was_there].mean()
    )
    around = images.fit(was_there.astype(np.uint8) * 255, (32, 57), Image.Resampling.BOX) > 0
    far = ~images.fit(around.astype(np.uint8) * 255, was_there.shape).astype(bool)
    assert (answer == source)[far].mean() > 0.8


def test_an_edit_that_changes_nothing_keeps_every_bit():
    """Noise of the networks does not count, and a map of no effect is none."""
    source = photo("cheetah.jpg")
    answer = change_of(source, with_noise(small(source), 2)).apply(source)
    assert (answer == source).all(2).mean() > 0.99


def test_the_part_that_is_not_changed_keeps_its_bits():
    source, target = pair_of(BY_NAME["left half grey"], photo("groot.jpeg"))
    answer = change_of(source, with_noise(small(target), 2)).apply(source)
    right = np.s_[:, source.shape[1] * 6 // 10 :]
    assert (answer == source)[right].mean() > 0.95


def test_a_larger_edit_is_fitted_too():
    """Of more pixels than the map is fitted at."""
    wide = images.fit(photo("groot.jpeg"), (1024, 1820))
    source, target = pair_of(BY_NAME["vignette"], wide)
    edited = images.fit(target, (512, 912))
    change = change_of(source, edited)
    assert change.edited.shape == (512, 912, 3)
    assert psnr(change.apply(source), target) > 38


def test_a_colour_map_reproduces_what_it_was_fitted_to():
    """And agrees with its own table where nothing was sampled."""
    rng = np.random.default_rng(0)
    colours = (0.5 * rng.random((4000, 3))).astype(np.float32)
    targets = colours[:, ::-1] ** 1.5
    colour_map, values = ColourSamples(colours).fit(targets, np.ones(len(colours), np.float32))
    assert np.abs(values - targets).max() < 0.05
    pixels = as_bytes(colours).reshape(40, 100, 3)
    np.testing.assert_allclose(
        as_floats(colour_map.of(pixels)).reshape(-1, 3), values, atol=2.5 / 255
    )
    assert isinstance(colour_map, ColourMap) and np.isfinite(colour_map.table).all()


def test_colours_without_weight_do_not_count():
    colours = np.repeat(np.linspace(0, 1, 300, dtype=np.float32)[:, None], 3, 1)
    weights = (np.arange(300) % 2).astype(np.float32)
    targets = np.where(weights[:, None] > 0, 1 - colours, 0.5).astype(np.float32)
    _, values = ColourSamples(colours).fit(targets, weights)
    np.testing.assert_allclose(values, 1 - colours, atol=0.02)


@pytest.mark.parametrize("is_smooth", (False, True))
@pytest.mark.parametrize("size", ((301, 450), (128, 160), (1000, 97)))
def test_rows_are_enlarged_as_pillow_does(size, is_smooth):
    planes = np.random.default_rng(0).random((96, 80, 3)).astype(np.float32)
    enlarged = Enlarged(planes, size, is_smooth)
    by = Image.Resampling.BILINEAR if is_smooth else Image.Resampling.BICUBIC
    expected = np.dstack(
        [
            np.asarray(Image.fromarray(plane).resize(size[::-1], by))
            for plane in planes.transpose(2, 0, 1)
        ]
    )
    strips = [slice(top, min(size[0], top + 50)) for top in range(0, size[0], 50)]
    rows = np.concatenate([enlarged.rows(strip) for strip in strips]).reshape(*size, 3)
    inner = slice(-(-2 * size[0] // 96), -(-2 * size[0] // 96) * -1)  # borders repeat, not end
    np.testing.assert_allclose(rows[inner], expected[inner], atol=1e-4)
    assert Enlarged(0 * planes, size).rows_or_none(strips[0]) is None


# -- in an answer ----------------------------------------------------------------------------------


def prepared_of(file, **options):
    request = EditRequest(file, "make it warmer", **{"region": b"full"} | options).validate()
    return preprocess(request, Choice("bf16", ""), FAMILY)


def answered(prepared, edit=BY_NAME["warmer"]):
    """The answer where the networks do an edit exactly, at their own size."""
    edited = as_bytes(edit.of(as_floats(prepared.pixels)))
    cells = prepared.mask.astype(bool)
    return postprocess(prepared.source, cells, edited, (3, 3), EditInfo("", 0, "bf16"))


@pytest.mark.parametrize("format", ("PNG", "JPEG", "WEBP", "AVIF", "TIFF", "GIF", "BMP"))
def test_sources_of_every_format(format):
    file = file_of(photo("tower.jpg"), format)
    prepared = prepared_of(file)
    answer = answered(prepared)
    target = as_bytes(BY_NAME["warmer"].of(as_floats(prepared.source.photo.pixels)))
    assert psnr(stored(answer.image), target) > 38
    assert answer.info.detail == EditInfo.from_json(answer.info.to_json()).detail
    assert answer.info.detail.transform > 0.9


@pytest.mark.parametrize("format", ("png", "webp", "jpeg;quality=95"))
def test_answers_of_every_format(format):
    prepared = prepared_of(file_of(photo("tower.jpg")), format=format)
    target = as_bytes(BY_NAME["warmer"].of(as_floats(photo("tower.jpg"))))
    assert psnr(stored(answered(prepared).image), target) > 33


def test_a_photo_of_a_phone_is_answered_upright_at_its_full_size():
    """Held upright: the file has the sensor's rows, and says how to turn them."""
    stored_pixels = images.fit(photo("tower.jpg"), (900, 1200))
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    file = file_of(stored_pixels, "JPEG", quality=90, exif=exif)
    answer = answered(prepared_of(file, format=format_of("warm.jpg")))
    with Image.open(io.BytesIO(answer.image)) as image:
        assert (image.format, image.size) == ("JPEG", (900, 1200))
        assert 0x0112 not in image.getexif()
    target = as_bytes(BY_NAME["warmer"].of(as_floats(np.rot90(stored_pixels, 3))))
    assert psnr(stored(answer.image), target) > 33


def test_off_is_the_enlarged_edit():
    prepared = prepared_of(file_of(photo("tower.jpg")), detail="off")
    answer = answered(prepared)
    edited = as_bytes(BY_NAME["warmer"].of(as_floats(prepared.pixels)))
    expected = images.paste_back(
        photo("tower.jpg"), edited, np.ones(photo("tower.jpg").shape[:2], bool), FAMILY.keep_below
    )
    np.testing.assert_array_equal(stored(answer.image), expected)
    assert answer.info.detail is None


@pytest.mark.parametrize("side", (64, 128))
def test_photos_no_larger_than_the_edit_have_no_detail_to_keep(side):
    file = file_of(images.fit(photo("tower.jpg"), (side, side)))
    by_default, off = (answered(prepared_of(file, detail=value)) for value in ("auto", "off"))
    assert by_default.info.detail is None and by_default.image == off.image


@pytest.mark.parametrize("kind", ("opaque", "transparent", "profile"))
def test_outside_of_a_mask_every_bit_stays(kind):
    """And inside the edit is near its target, in the photo's own colours and transparency."""
    pixels = photo("groot.jpeg")
    mask = mask_of(pixels.shape[:2])
    icc = rgb_profile.of(P3, 2.2) if kind == "profile" else None
    if kind == "transparent":
        alpha = np.full(mask.shape, 255, np.uint8)
        alpha[: len(alpha) // 4] = 90
        pixels = np.dstack([pixels, alpha])
    file = file_of(pixels, icc_profile=icc)
    prepared = prepared_of(file, region=images.encode_mask(mask))
    answer = answered(prepared)
    edited = stored(answer.image)
    assert edited.shape == pixels.shape
    np.testing.assert_array_equal(edited[~mask], pixels[~mask])
    assert answer.info.detail.transform > 0.9
    srgb = images.decode(answer.image)
    target = as_bytes(BY_NAME["warmer"].of(as_floats(images.decode(file))))
    assert psnr(srgb[mask], target[mask]) > 33


def test_only_the_region_tells_what_changes():
    """The networks' picture outside of a mask has no effect inside."""
    pixels = photo("groot.jpeg")
    mask = np.zeros(pixels.shape[:2], bool)
    mask[:, : pixels.shape[1] // 2] = True
    prepared = prepared_of(file_of(pixels), region=images.encode_mask(mask))
    edited = as_bytes(BY_NAME["warmer"].of(as_floats(prepared.pixels)))
    spoiled = edited.copy()
    spoiled[:, spoiled.shape[1] * 5 // 8 :] = 255 - spoiled[:, spoiled.shape[1] * 5 // 8 :]
    cells = prepared.mask.astype(bool)
    target = as_bytes(BY_NAME["warmer"].of(as_floats(pixels)))
    for picture in (edited, spoiled):
        answer = postprocess(prepared.source, cells, picture, (1, 1), EditInfo("", 0, "bf16"))
        inside = np.s_[:, : pixels.shape[1] * 3 // 8]
        assert psnr(stored(answer.image)[inside], target[inside]) > 38


def test_a_region_without_a_cell_changes_nothing():
    prepared = prepared_of(file_of(photo("tower.jpg")))
    cells = np.zeros(prepared.mask.shape, bool)
    answer = postprocess(prepared.source, cells, prepared.pixels, (1, 1), EditInfo("", 0, "bf16"))
    np.testing.assert_array_equal(stored(answer.image), photo("tower.jpg"))
    assert answer.info.detail is None


def test_a_preview_is_not_refined():
    prepared = prepared_of(file_of(photo("tower.jpg")))
    cells = prepared.mask.astype(bool)
    answer = postprocess(prepared.source, cells, prepared.pixels, (1, 3), EditInfo("", 0, "bf16"))
    assert answer.info.detail is None
    assert Image.open(io.BytesIO(answer.image)).size == prepared.pixels.shape[1::-1]


def test_a_shift_is_undone_before_the_change_is_fitted():
    pixels = images.fit(photo("groot.jpeg"), (1024, 1820))
    prepared = prepared_of(file_of(pixels), align=1)
    warmer = as_bytes(BY_NAME["warmer"].of(as_floats(prepared.pixels)))
    moved = fit_back(warmer, (-3.0, 2.0), warmer.shape[:2])
    cells = prepared.mask.astype(bool)
    answer = postprocess(prepared.source, cells, moved, (1, 1), EditInfo("", 0, "bf16"))
    target = as_bytes(BY_NAME["warmer"].of(as_floats(pixels)))
    assert answer.info.drift.undone
    assert psnr(stored(answer.image), target) > 33


def test_a_source_of_the_ensemble_keeps_detail():
    source = SourceImage.of(file_of(photo("tower.jpg")), b"full", "png", FAMILY)
    assert source.keeps_detail and source.fitted.shape[:2] == source.bucket


def test_the_shares_of_info_are_one():
    source, target = pair_of(BY_NAME["edges blurred"], photo("tower.jpg"))
    detail = change_of(source, small(target)).detail
    assert isinstance(detail, Detail)
    assert detail.transform + detail.composite == pytest.approx(1)
    assert 0.3 < detail.composite < 0.9

"""What nobody edited looks the same: CIEDE2000 of answers and sources as a colour-managed viewer
shows them."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms
from test_photo import ADOBE, P3, answer_to, chunk, profile, with_chunk

from colour_difference import cmyk_profile, differences
from pictures import file_of
from retouch.imaging import images

SIDE = 192
OUTSIDE = np.s_[:, SIDE * 5 // 8 :]  # the left half is edited; JPEG's blocks reach a little further
BOUND = 0.5
EXACT = 0.01
CONVERSION = 0.1  # of inks and Lab to 8 bits of RGB, before JPEG
CMYK = cmyk_profile()


def photo() -> np.ndarray:
    """Soft colours of every kind with a little grain, uint8 [SIDE, SIDE, 3]."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    ramps = np.stack([x, y, (1 - x) * (1 - y)], -1) * 255
    clouds = Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).resize(
        (SIDE, SIDE), Image.Resampling.BICUBIC
    )
    grain = rng.normal(0, 1, (SIDE, SIDE, 1))
    return (ramps * 0.6 + np.asarray(clouds) * 0.4 + grain).clip(0, 255).astype(np.uint8)


def grey_profile(gamma: float) -> bytes:
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    size = 132 + 24 + len(curve) + len(white)
    head = (
        struct.pack(">I4xI", size, 0x02400000)
        + b"mntrGRAYXYZ "
        + bytes(12)
        + b"acsp"
        + bytes(28)
        + white[8:]
    )
    table = struct.pack(
        ">I4sII4sII", 2, b"kTRC", 156, len(curve), b"wtpt", 156 + len(curve), len(white)
    )
    return head + bytes(128 - len(head)) + table + curve + white


def stored(image: Image.Image, format: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def in_inks() -> Image.Image:
    """The photo as a prepress program separates it."""
    ends = ImageCms.createProfile("sRGB"), ImageCms.getOpenProfile(io.BytesIO(CMYK))
    separate = ImageCms.buildTransform(*ends, "RGB", "CMYK", ImageCms.Intent.RELATIVE_COLORIMETRIC)
    return ImageCms.applyTransform(Image.fromarray(photo()), separate)


def in_lab() -> Image.Image:
    ends = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    return ImageCms.applyTransform(
        Image.fromarray(photo()), ImageCms.buildTransform(*ends, "RGB", "LAB")
    )


def cyan() -> Image.Image:
    """Inks that sRGB does not hold: cyan to green, in the region and outside."""
    inks = np.zeros((SIDE, SIDE, 4), np.uint8)
    inks[:, :, 0] = 255
    inks[:, :, 2] = np.linspace(0, 255, SIDE)[:, None]
    return Image.fromarray(inks, "CMYK")


def vivid_lab() -> Image.Image:
    """Lab colours beyond sRGB and within Adobe RGB: greens."""
    lab = np.zeros((SIDE, SIDE, 3), np.uint8)
    lab[:, :, 0] = np.linspace(130, 190, SIDE)[:, None]
    lab[:, :, 1] = np.int8(-75).astype(np.uint8)
    lab[:, :, 2] = 30
    return Image.fromarray(lab, "LAB")


GREY = Image.fromarray(photo()[:, :, 1])
RGB = {
    "sRGB": file_of(photo()),
    "Display P3": file_of(photo(), icc_profile=profile(P3)),
    "Adobe RGB": file_of(photo(), "TIFF", icc_profile=profile(ADOBE)),
    "grey": stored(GREY, "PNG"),
}
OTHERS = {
    "CMYK": stored(in_inks(), "TIFF", icc_profile=CMYK),
    "CMYK JPEG": stored(in_inks(), "JPEG", quality=95, icc_profile=CMYK),
    "Lab": stored(in_lab(), "TIFF"),
    "grey of gamma 1.8": stored(GREY, "PNG", icc_profile=grey_profile(1.8)),
    "deep grey": stored(
        Image.fromarray(photo()[:, :, 1].astype(np.uint16) * 257),
        "PNG",
        icc_profile=grey_profile(1.8),
    ),
    "grey of gamma 2.2": stored(GREY, "JPEG", icc_profile=grey_profile(2.2)),
}
BEYOND = {
    "vivid inks": stored(cyan(), "TIFF", icc_profile=CMYK),
    "vivid Lab": stored(vivid_lab(), "TIFF"),
}


@pytest.mark.parametrize("format", ("png", "webp"))
@pytest.mark.parametrize("source", RGB)
def test_lossless_answers_are_exact(source, format):
    answer, _ = answer_to(RGB[source], format)
    assert differences(RGB[source], answer)[OUTSIDE].max() < EXACT


@pytest.mark.parametrize("format", ("png", "webp"))
@pytest.mark.parametrize("source", (*OTHERS, *BEYOND))
def test_colours_of_other_spaces_look_the_same(source, format):
    file = (OTHERS | BEYOND)[source]
    answer, _ = answer_to(file, format)
    moved = differences(file, answer)[OUTSIDE]
    assert moved.mean() < BOUND / 2 and np.percentile(moved, 95) < BOUND * 1.5


@pytest.mark.parametrize("source", (*RGB, *OTHERS))
def test_jpeg_answers_look_the_same(source):
    file = (RGB | OTHERS)[source]
    answer, _ = answer_to(file, "jpeg")
    bound = BOUND if source in RGB else BOUND + CONVERSION
    assert differences(file, answer)[OUTSIDE].mean() < bound


@pytest.mark.parametrize("source", (*RGB, *OTHERS))
def test_the_best_jpeg_answers_hold_the_bound_for_all(source):
    file = (RGB | OTHERS)[source]
    answer, _ = answer_to(file, "jpeg;quality=100")
    assert differences(file, answer)[OUTSIDE].mean() < BOUND


@pytest.mark.parametrize("source", ("sRGB", "Display P3", "CMYK"))
def test_the_edit_itself_is_seen(source):
    """So that the other tests could fail."""
    file = (RGB | OTHERS)[source]
    answer, _ = answer_to(file)
    assert differences(file, answer)[:, : SIDE // 2].mean() > 10


@pytest.mark.parametrize("format", ("png", "webp"))
@pytest.mark.parametrize(
    "icc", (None, profile(P3), profile(ADOBE)), ids=("sRGB", "P3", "Adobe RGB")
)
def test_transparency_and_colours_are_kept_together(format, icc):
    image = Image.fromarray(photo())
    alpha = np.tile(np.linspace(0, 255, SIDE).astype(np.uint8), (SIDE, 1)).T
    image.putalpha(Image.fromarray(np.ascontiguousarray(alpha)))
    file = stored(image, "PNG", icc_profile=icc)
    answer, _ = answer_to(file, format)
    assert differences(file, answer)[OUTSIDE].max() < EXACT
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(answer)).getchannel("A"))[OUTSIDE], alpha[OUTSIDE]
    )


@pytest.mark.parametrize(
    "added",
    [
        chunk(b"cICP", bytes((12, 13, 0, 1))),
        chunk(b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)),
        chunk(b"gAMA", struct.pack(">I", 55_556)),
    ],
    ids=("P3", "Adobe RGB's primaries", "gamma 1.8"),
)
def test_colours_of_png_chunks_are_answered_with_a_profile(added):
    file = with_chunk(file_of(photo()), added)
    answer, _ = answer_to(file)
    image = Image.open(io.BytesIO(answer))
    assert image.info["icc_profile"]
    np.testing.assert_array_equal(np.asarray(image)[OUTSIDE], photo()[OUTSIDE])


@pytest.mark.parametrize("orientation", (1, 6))
def test_cicp_goes_before_a_profile_in_png(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = file_of(photo(), icc_profile=profile(ADOBE), exif=exif)
    srgb = with_chunk(file, chunk(b"cICP", bytes((1, 13, 0, 1))))
    assert images.decode_photo(file).icc == profile(ADOBE)
    assert images.decode_photo(srgb).icc is None

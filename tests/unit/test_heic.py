"""HEIC files with and without pillow-heif, and the colours that HEIC and AVIF files state in
boxes."""

from __future__ import annotations

import io

import numpy as np
import pillow_heif
import pytest
from PIL import Image
from test_photo import P3, profile

from pictures import file_of, scene
from retouch.api.errors import Cancelled, RequestError
from retouch.imaging import heic, images
from retouch.imaging.formats import MAX_AVIF_BYTES

# H.273's numbers in a colour box; 2 says nothing
P3_BOX = b"colrnclx\0\x0c\0\x0d\0\x06\x80"
SRGB_BOX = b"colrnclx\0\x01\0\x0d\0\x06\x80"
PQ_BOX = b"colrnclx\0\x09\0\x10\0\x09\x80"
EMPTY_BOX = b"colrnclx\0\x02\0\x02\0\x06\x80"


def heic_of(*pictures: np.ndarray, **options: object) -> bytes:
    file = pillow_heif.HeifFile()
    for pixels in pictures:
        file.add_frombytes("RGB", (pixels.shape[1], pixels.shape[0]), pixels.tobytes())
    out = io.BytesIO()
    file.save(out, quality=95, chroma=444, **options)
    return out.getvalue()


@pytest.fixture
def without(monkeypatch):
    monkeypatch.setattr(heic, "is_installed", lambda: False)


def test_a_photo_is_read():
    decoded = images.decode(heic_of(scene()))
    assert np.abs(decoded.astype(int) - scene()).mean() < 3


@pytest.mark.parametrize("orientation", (3, 6, 8))
def test_it_stands_upright(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = scene(160, 96)
    expected = images.decode(file_of(stored, "PNG", exif=exif))
    decoded = images.decode(heic_of(stored, exif=exif.tobytes()))
    assert decoded.shape == expected.shape
    assert np.abs(decoded.astype(int) - expected).mean() < 3


def test_its_profile_is_kept():
    out = io.BytesIO()
    file = pillow_heif.from_pillow(
        Image.open(io.BytesIO(file_of(scene(), icc_profile=profile(P3))))
    )
    file.save(out, quality=95)
    assert images.decode_photo(out.getvalue()).icc == profile(P3)


def test_the_photo_of_a_series_is_read():
    """Telephones keep a series in one file, which says which one is the photo."""
    decoded = images.decode(heic_of(scene(), scene()[::-1], primary_index=1))
    assert np.abs(decoded.astype(int) - scene()[::-1]).mean() < 3


@pytest.mark.parametrize("share", (0.2, 0.6, 0.98))
def test_a_cut_file_is_refused(share):
    file = heic_of(scene())
    with pytest.raises(RequestError, match="damaged|truncated"):
        images.decode(file[: int(len(file) * share)])


@pytest.mark.parametrize(("width", "height"), ((400, 40), (128, 8)))
def test_its_sizes_are_checked(width, height):
    with pytest.raises(RequestError, match=f"{width} x {height}"):
        images.decode(heic_of(np.zeros((height, width, 3), np.uint8)))


def test_reading_ends_when_nobody_waits():
    def check():
        raise Cancelled

    with pytest.raises(Cancelled):
        images.decode_photo(heic_of(scene()), check=check)


@pytest.mark.parametrize("brand", (b"heic", b"heix", b"mif1"))
def test_without_pillow_heif_it_is_named(without, brand):
    file = heic_of(scene())
    with pytest.raises(
        RequestError, match="is a HEIC file; send it as PNG, JPEG or WebP, or install pillow-heif"
    ):
        images.decode(file[:8] + brand + file[12:])


def test_without_pillow_heif_other_files_are_read(without):
    for format in ("AVIF", "PNG"):
        assert images.decode(file_of(scene(), format)).shape == (128, 128, 3)


def test_an_avif_of_a_general_brand_is_read(without):
    file = file_of(scene(), "AVIF")
    assert images.decode(file[:8] + b"mif1" + file[12:]).shape == (128, 128, 3)


@pytest.mark.parametrize("brand", (b"avif", b"avis"))
def test_large_avif_files_are_refused_before_they_are_decoded(brand):
    file = file_of(scene(), "AVIF")
    file = file[:8] + brand + file[12:] + bytes(MAX_AVIF_BYTES)
    with pytest.raises(
        RequestError, match=f"AVIF file of {len(file)} bytes; at most {MAX_AVIF_BYTES} are allowed"
    ):
        images.decode(file)


def boxed(format: str, box: bytes) -> bytes:
    """A file whose own colour box is another."""
    file = file_of(scene(), format, quality=95) if format == "AVIF" else heic_of(scene())
    place = file.index(b"colrnclx")
    return file[:place] + box + file[place + len(box) :]


@pytest.mark.parametrize("format", ("AVIF", "HEIC"))
def test_colours_of_a_box(format):
    plain = images.decode(boxed(format, EMPTY_BOX))
    np.testing.assert_array_equal(images.decode(boxed(format, SRGB_BOX)), plain)
    wide = images.decode(boxed(format, P3_BOX)).astype(int)
    expected = images.decode(file_of(plain, icc_profile=profile(P3)))
    assert np.abs(wide - plain).max() > 8
    assert np.abs(wide - expected).mean() < 3


@pytest.mark.parametrize("format", ("AVIF", "HEIC"))
def test_colours_that_are_not_known_are_noted(format):
    photo = images.decode_photo(boxed(format, PQ_BOX))
    assert any("cICP colours are not known" in note for note in photo.notes)

"""Decoding, fitting, masks and pasting back."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from pictures import file_of, huge_png, mask_file, scene
from retouch.api.answer_format import FORMATS
from retouch.api.errors import RequestError
from retouch.api.geometry import BUCKETS, KEEP_BELOW
from retouch.api.limits import MAX_IMAGE_BYTES, MAX_PIXELS
from retouch.imaging import images


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_lossless_files_decode_to_their_pixels(format):
    options = {"lossless": True} if format == "WEBP" else {}
    np.testing.assert_array_equal(images.decode(file_of(scene(), format, **options)), scene())


def test_jpeg_decodes():
    assert images.decode(file_of(scene(), "JPEG", quality=95)).shape == (128, 128, 3)


def test_base64_text_and_data_urls_are_files_too():
    text = base64.b64encode(file_of(scene()))
    for data in (text, text[:40] + b"\n" + text[40:], b"data:image/png;base64," + text):
        np.testing.assert_array_equal(images.decode(data), scene())


def test_base64_text_in_lines_may_be_longer_than_the_file(monkeypatch):
    """As `base64` writes it, with a line's end after 76 signs."""
    file = file_of(scene())
    monkeypatch.setattr(images, "MAX_IMAGE_BYTES", len(file))
    np.testing.assert_array_equal(images.decode(base64.encodebytes(file)), scene())
    with pytest.raises(RequestError, match=f"has {len(file) + 1} bytes"):
        images.decode(base64.encodebytes(file + b"x"))


def test_exif_orientation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    out = io.BytesIO()
    Image.fromarray(scene(160, 96)).save(out, "PNG", exif=exif)
    np.testing.assert_array_equal(images.decode(out.getvalue()), np.rot90(scene(160, 96), 3))


def test_metadata_does_not_survive():
    data = images.encode(
        images.decode(file_of(scene(), "JPEG", comment=b"secret", quality=95)), "jpeg", 90
    )
    assert b"secret" not in data and not Image.open(io.BytesIO(data)).getexif()


def test_alpha_is_flattened_on_white():
    clear = np.zeros((32, 32, 4), np.uint8)
    assert (images.decode(file_of(clear)) == 255).all()


def test_sixteen_bit_grey_is_scaled():
    assert (images.decode(file_of(np.full((32, 32), 0x8000, np.uint16))) == 0x80).all()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (b"hello, this is no image", "not a picture file"),
        (file_of(scene())[:400], "truncated"),
        (file_of(scene(), "JPEG")[:1500], "truncated"),
        (file_of(scene(), "WEBP")[:300], "WebP"),
        (file_of(scene())[:60] + b"\0" * 500, "damaged"),
        (file_of(scene(), "TGA"), "not a picture file"),
        (file_of(scene(), "JPEG2000"), "is a JPEG 2000 file; send it as PNG"),
        (huge_png(), str(MAX_PIXELS)),
        (huge_png(9000, 9000), str(MAX_PIXELS)),
        (huge_png(8, 8), "sides must be 16"),
        (huge_png(400, 40), "at most 4 times"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * MAX_IMAGE_BYTES, str(MAX_IMAGE_BYTES)),
    ],
)
def test_what_is_no_image_is_refused_in_one_sentence(data, message):
    with pytest.raises(RequestError, match="IMAGE") as refused:
        images.decode(data)
    assert message in str(refused.value) and "\n" not in str(refused.value)


def test_animations_are_refused():
    frames = [Image.fromarray(scene()), Image.fromarray(scene()[::-1])]
    out = io.BytesIO()
    frames[0].save(out, "WEBP", save_all=True, append_images=frames[1:])
    with pytest.raises(RequestError, match="2 frames"):
        images.decode(out.getvalue())


@pytest.mark.parametrize(
    ("size", "bucket"), [((128, 128), 0), ((100, 90), 0), ((480, 800), 1), ((900, 300), 2)]
)
def test_the_nearest_bucket_is_taken(size, bucket):
    assert images.bucket(*size) == BUCKETS[bucket]


def test_fit_leaves_a_fitting_picture_alone():
    pixels = scene()
    assert images.fit(pixels, (128, 128)) is pixels
    assert images.fit(pixels, (96, 160)).shape == (96, 160, 3)


@pytest.mark.parametrize("size", [(128, 128), (37, 131), (16, 16), (301, 200)])
def test_cells_and_masks_agree(size):
    rng = np.random.default_rng(0)
    bucket = images.bucket(*size)
    cells = rng.random(bucket[0] // 16 * bucket[1] // 16) < 0.3
    mask = images.mask_of_cells(cells, bucket, *size)
    np.testing.assert_array_equal(images.cells_of_mask(mask, bucket), cells)


def test_one_pixel_marks_its_cell():
    mask = np.zeros((1000, 1000), bool)
    mask[999, 0] = True
    assert np.flatnonzero(images.cells_of_mask(mask, (128, 128))).tolist() == [56]


def test_masks_must_have_the_images_size():
    with pytest.raises(RequestError, match="64 x 32 pixels; it must be the image's 128 x 128"):
        images.decode_mask(mask_file(64, 32, (0, 0, 8, 8)), 128, 128)
    with pytest.raises(RequestError, match="black all over"):
        images.decode_mask(mask_file(128, 128, (0, 0, 0, 0)), 128, 128)


def test_paste_back_keeps_the_source_bit_for_bit():
    source = scene(200, 150)
    mask = np.zeros((150, 200), bool)
    mask[20:60, 30:90] = True
    result = images.paste_back(source, np.full((128, 128, 3), 7, np.uint8), mask)
    np.testing.assert_array_equal(result[~mask], source[~mask])
    near = np.abs(source.astype(int) - 7).max(axis=2) < KEEP_BELOW
    assert (result[mask & ~near] == 7).all()


def test_paste_back_undoes_what_was_not_meant():
    source = scene()
    edited = source.astype(int) + KEEP_BELOW * np.where(np.arange(128) < 64, 1, -1)[:, None]
    edited[:, :32] = source[:, :32] + KEEP_BELOW - 1
    everywhere = np.ones((128, 128), bool)
    result = images.paste_back(source, edited.clip(0, 255).astype(np.uint8), everywhere)
    np.testing.assert_array_equal(result[:, :32], source[:, :32])
    assert (result[:, 32:] != source[:, 32:]).any(axis=2).mean() > 0.5


@pytest.mark.parametrize("format", FORMATS)
def test_encode(format):
    assert images.decode(images.encode(scene(), format, 80)).shape == (128, 128, 3)

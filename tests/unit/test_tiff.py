"""TIFF files as cameras, scanners and microscopes write them, and BMP files by run lengths."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from pictures import file_of, scene
from retouch.api.errors import RequestError
from retouch.imaging import images

SHORT = 3
LONG = 4


def tiff(pixels: bytes, side: int, **changes: int) -> bytes:
    """A grey TIFF of one strip; `changes` are values of tags by name."""
    values = {
        "ImageWidth": side,
        "ImageLength": side,
        "BitsPerSample": 8,
        "Compression": 1,
        "PhotometricInterpretation": 1,
        "StripOffsets": 0,
        "SamplesPerPixel": 1,
        "RowsPerStrip": side,
        "StripByteCounts": len(pixels),
        **changes,
    }
    values["StripOffsets"] = 8 + 2 + 12 * len(values) + 4
    numbers = {
        TiffImagePlugin.TiffTags.lookup(tag).name: tag for tag in TiffImagePlugin.TiffTags.TAGS_V2
    }
    entries = sorted((numbers[name], value) for name, value in values.items())
    body = b"".join(struct.pack("<HHII", tag, LONG, 1, value) for tag, value in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4) + pixels


def pages(*kinds: int) -> bytes:
    """A TIFF of scenes with their NewSubfileType: 1 is a smaller copy, 2 a page of several."""
    out = io.BytesIO()
    with TiffImagePlugin.AppendingTiffWriter(out) as writer:
        for kind in kinds:
            image = Image.fromarray(scene() if kind != 1 else scene(32, 32))
            image.save(writer, "TIFF", tiffinfo={254: kind})
            writer.newFrame()
    return out.getvalue()


def test_a_big_tiff_is_read():
    np.testing.assert_array_equal(images.decode(file_of(scene(), "TIFF", big_tiff=True)), scene())


@pytest.mark.parametrize("kinds", ((0, 1), (0, 1, 1, 1), (2, 1)))
def test_smaller_copies_are_no_frames(kinds):
    np.testing.assert_array_equal(images.decode(pages(*kinds)), scene())


@pytest.mark.parametrize("kinds", ((0, 0), (2, 2, 1), (0, 2)))
def test_pages_are_refused(kinds):
    with pytest.raises(RequestError, match="has 2 frames"):
        images.decode(pages(*kinds))


@pytest.mark.parametrize(("level", "grey"), ((0, 0), (0x800, 0x80), (0xFFF, 0xFF)))
def test_twelve_bits_are_scaled(level, grey):
    pair = bytes((level >> 4, (level & 15) << 4 | level >> 8, level & 255))
    photo = images.decode_photo(tiff(pair * (16 * 8), 16, BitsPerSample=12))
    assert (photo.pixels == grey).all()
    assert photo.notes == ["the image has 12 bits a channel; it is edited and answered in 8"]


def test_deep_colours_are_noted():
    image = np.full((32, 32), 0x1234, np.uint16)
    assert "16 bits" in images.decode_photo(file_of(image, "TIFF")).notes[0]
    assert images.decode_photo(file_of(scene(), "TIFF")).notes == []


@pytest.mark.parametrize(
    "file",
    [
        file_of(np.zeros((32, 32), np.float32), "TIFF"),
        file_of(np.zeros((32, 32), np.int32), "TIFF"),
        tiff(bytes(32 * 32), 32, SampleFormat=2),
    ],
    ids=("float", "32 bits", "signed"),
)
def test_levels_without_a_white_are_refused(file):
    with pytest.raises(RequestError, match="save it with 8 or 16 bits a channel"):
        images.decode(file)


@pytest.mark.parametrize(
    ("method", "name"), ((50001, "WebP"), (34712, "JPEG 2000"), (34887, "LERC"))
)
def test_compression_that_is_not_known_is_named(method, name):
    with pytest.raises(RequestError, match=f"compressed by {name}|damaged or of an unusual kind"):
        images.decode(tiff(bytes(32 * 32), 32, Compression=method))


@pytest.mark.parametrize(
    "method", ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "zstd", "lzma")
)
def test_compression_that_is_known(method):
    decoded = images.decode(file_of(scene(), "TIFF", compression=method))
    assert np.abs(decoded.astype(int) - scene()).mean() < (3 if method == "jpeg" else 1e-9)


def test_four_bit_run_lengths_are_refused():
    """Pillow would answer noise."""
    palette = b"".join(bytes((level, level, level, 0)) for level in range(0, 256, 17))
    rows = b"\x20\x12\0\0" * 32 + b"\0\1"
    header = struct.pack("<IiiHHIIiiII", 40, 32, 32, 1, 4, 2, len(rows), 0, 0, 16, 0)
    start = 14 + len(header) + len(palette)
    file = b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + header + palette + rows
    with pytest.raises(RequestError, match="run lengths; send it as PNG"):
        images.decode(file)

"""Checks of a TIFF file's tags before its pixels are decoded."""

from __future__ import annotations

from PIL.TiffImagePlugin import TiffImageFile

from retouch.api.errors import RequestError
from retouch.imaging.formats import ADVICE

NEW_SUBFILE_TYPE = 254
BITS_PER_SAMPLE = 258
COMPRESSION = 259
REDUCED = 1  # bit of NEW_SUBFILE_TYPE: a smaller copy of another page
MAX_PAGES = 100  # the tags of further pages are not read
UNSUPPORTED = {50001: "WebP", 34712: "JPEG 2000", 34887: "LERC", 50002: "JPEG XL"}
SAMPLE_FORMAT = 339
PLAIN_FORMATS = {1, 4}  # values of SAMPLE_FORMAT: unsigned, undefined
WIDE_MODES = ("I", "F")  # 32 bits: their white level is unknown


def check(image: TiffImageFile, name: str) -> None:
    """RequestError when the pixels cannot be decoded, or when their black and white levels are
    unknown."""
    method = UNSUPPORTED.get(image.tag_v2.get(COMPRESSION, 0))
    if method:
        raise RequestError(f"{name} is a TIFF file compressed by {method}; {ADVICE}")
    formats = image.tag_v2.get(SAMPLE_FORMAT, (1,))
    if image.mode in WIDE_MODES or not PLAIN_FORMATS.issuperset(formats):
        raise RequestError(
            f"{name} has signed, floating-point or 32-bit levels; "
            "save it with 8 or 16 bits a channel"
        )


def count_pages(image: TiffImageFile, frames: int) -> int:
    """Number of pages without the smaller copies that programs add; leaves the first page
    current."""
    if frames > MAX_PAGES:
        return frames
    copies = 0
    for number in range(1, frames):
        image.seek(number)
        copies += bool(image.tag_v2.get(NEW_SUBFILE_TYPE, 0) & REDUCED)
    image.seek(0)
    return frames - copies


def bits(image: TiffImageFile) -> int:
    """Bits a channel, 8 to 16; fewer than 8 are decoded to 8."""
    return max(8, min(16, image.tag_v2.get(BITS_PER_SAMPLE, (8,))[0]))

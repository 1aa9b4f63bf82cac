"""Decoding of an image file into pixels, transparency and colour profile."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageFile, ImageOps, PngImagePlugin
from PIL.TiffImagePlugin import TiffImageFile

from retouch.api.errors import Cancelled, RequestError
from retouch.api.limits import IMAGE_FORMATS, MAX_ASPECT, MAX_PIXELS, MAX_SIDE, MIN_SIDE
from retouch.imaging import (
    colour,
    heic,
    heif_boxes,
    jpeg_markers,
    levels,
    native_calls,
    png_chunks,
    tiff_tags,
)
from retouch.imaging.formats import ADVICE, MAX_AVIF_BYTES, advice, allowed, kind_of, other_format

WHITE = 255
BLOCK_BYTES = 8192  # decoded between two calls of `check`
ORIENTATION = 0x0112
BMP_RLE4 = 2  # Pillow decodes runs of an odd length wrongly
CONVERTED = ("CMYK", "L", "LA", "I;16", "I")  # modes with profiles other than RGB
PngImagePlugin.MAX_TEXT_CHUNK = png_chunks.MAX_ICC_BYTES  # also limits a profile
warnings.filterwarnings("ignore", module="PIL")  # they print paths to standard error
logging.getLogger("PIL").addHandler(logging.NullHandler())

FIRST_FRAME = ", or FORMAT png;first_frame to edit the first"

Check = Callable[[], None]


def go_on() -> None:
    """A check that never ends the decoding."""


@dataclass
class Photo:
    """A decoded image.

    `pixels` are uint8 [H, W, 3] in the colours of `icc` (None: sRGB). `alpha` is uint8 [H, W]; None
    when all pixels are opaque. `notes` are sentences about what was lost. `orientation` is the EXIF
    value (1 to 8) by which the pixels were turned upright."""

    pixels: np.ndarray
    alpha: np.ndarray | None = None
    icc: bytes | None = None
    notes: list[str] = field(default_factory=list)
    orientation: int = 1

    def opaque(self, background: int = WHITE) -> np.ndarray:
        """The pixels over a grey background. Returns the same array when all pixels are opaque."""
        if self.alpha is None:
            return self.pixels
        out = np.full_like(self.pixels, background)
        shares = self.alpha[:, :, None].astype(np.uint16)
        for top in range(0, len(out), colour.STRIP):
            rows = slice(top, top + colour.STRIP)
            blended = self.pixels[rows] * shares[rows] + background * (255 - shares[rows])
            out[rows] = (blended + 127) // 255
        return out

    @property
    def rgba(self) -> np.ndarray:
        """The pixels with their alpha, uint8 [H, W, 4]."""
        alpha = np.full(self.pixels.shape[:2], 255, np.uint8) if self.alpha is None else self.alpha
        return np.dstack([self.pixels, alpha])

    def srgb(self, background: int = WHITE) -> np.ndarray:
        """The opaque pixels in sRGB, as the networks take them: uint8 [H, W, 3]."""
        return colour.to_srgb(self.opaque(background), self.icc)


def photo_of(
    data: bytes, name: str, check: Check = go_on, first_frame: bool | None = None
) -> Photo:
    """Decode an image file (not base64 text); RequestError, and any error of `check`.

    Files of several frames are refused unless `first_frame` is True. None says that the caller has
    no such option."""
    image = loaded(data, name, check, first_frame)
    bits = levels.bits_of(image, data)
    deep = f"the image has {bits} bits a channel; it is edited and answered in 8"
    notes = [deep] if bits > 8 else []
    chunks = _colour_chunks(image, data)
    orientation = orientation_of(image)
    icc = image.info.get("icc_profile")
    image = upright(image)
    if image.mode == "LAB" or (icc and image.mode in CONVERTED and icc[16:20] != b"RGB "):
        image, icc = _as_rgb(levels.in_eight_bits(image, bits), icc, notes)
    pixels, alpha = levels.channels(image, bits)
    is_png = data.startswith(png_chunks.SIGNATURE)
    if icc and not (is_png and b"cICP" in chunks):  # cICP has precedence in PNG files only
        is_useful = colour.is_rgb_profile(icc)
        return Photo(pixels, alpha, icc if is_useful else None, notes, orientation)
    icc, note = colour.profile_of_chunks(chunks)
    return Photo(pixels, alpha, icc, notes + [note] * bool(note), orientation)


def opened(
    data: bytes, name: str, check: Check = go_on, first_frame: bool | None = None
) -> ImageFile.ImageFile:
    """An image with its header read and checked: size, sides, aspect and frames; RequestError."""
    if data.startswith(png_chunks.SIGNATURE):
        data = png_chunks.needed_chunks(data)
    elif kind_of(data) == "AVIF" and len(data) > MAX_AVIF_BYTES:
        raise RequestError(
            f"{name} is an AVIF file of {len(data)} bytes; "
            f"at most {MAX_AVIF_BYTES} are allowed, or {ADVICE}"
        )
    elif data.startswith(b"\xff\xd8") and jpeg_markers.count_scans(data) > jpeg_markers.MAX_SCANS:
        raise RequestError(
            f"{name} has more than {jpeg_markers.MAX_SCANS} scans; save it as an ordinary JPEG"
        )
    try:
        formats = heic.formats() if kind_of(data) == "HEIC" else IMAGE_FORMATS
        image = Image.open(_CheckedFile(data, check), formats=formats)
    except Image.DecompressionBombError:
        raise RequestError(f"{name} has too many pixels; {sizes()}") from None
    except Exception as failure:
        _reraise(failure)
        known = other_format(data)
        if known:
            raise RequestError(f"{name} is {known} file; {advice(known)}") from None
        raise RequestError(f"{name} {_unreadable(data)}") from None
    if isinstance(image, TiffImageFile):
        tiff_tags.check(image, name)
    if image.format == "BMP" and image.info.get("compression") == BMP_RLE4:
        raise RequestError(f"{name} is a BMP file compressed by 4-bit run lengths; {ADVICE}")
    _check_sizes(image, name)
    if not first_frame:
        _check_frames(image, name, "" if first_frame is None else FIRST_FRAME)
    return image


def loaded(
    data: bytes, name: str, check: Check = go_on, first_frame: bool | None = None
) -> Image.Image:
    """An image with its pixels decoded; RequestError."""
    image = opened(data, name, check, first_frame)
    image.decodermaxblock = BLOCK_BYTES
    try:
        if native_calls.is_long(image):
            native_calls.run(image.load, check)
        else:
            image.load()
        if image.format == "HEIF":
            _check_sizes(image, name)  # the header may be wrong
        return image
    except Exception as failure:
        _reraise(failure)
        if image.format in ("JPEG", "MPO") and (whole := _without_end(data, check)):
            return whole
    raise RequestError(f"{name} is damaged or truncated; send the whole file") from None


def upright(image: Image.Image) -> Image.Image:
    """Turn an image by its EXIF orientation. XMP is ignored, as in other programs."""
    for key in ("XML:com.adobe.xmp", "xmp"):
        image.info.pop(key, None)
    if orientation_of(image) == 1:
        return image  # without a copy
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a broken EXIF block says nothing about the pixels
        return image


def orientation_of(image: Image.Image) -> int:
    if "exif" not in image.info:
        return 1
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:
        return 1
    return value if value in range(1, 9) else 1


def sizes() -> str:
    return f"sides must be {MIN_SIDE} to {MAX_SIDE} and the area at most {MAX_PIXELS} pixels"


def _unreadable(data: bytes) -> str:
    kind = kind_of(data)
    if kind:
        return f"is a {kind} file that is damaged or of an unusual kind; {ADVICE}"
    return f"is not a readable picture; {allowed()} are allowed"


class _CheckedFile(io.BytesIO):
    """A file of bytes that calls `check` at each read."""

    def __init__(self, data: bytes, check: Check):
        super().__init__(data)
        self._check = check

    def read(self, size: int | None = -1) -> bytes:
        self._check()
        return super().read(size)


def _reraise(failure: Exception) -> None:
    """Raise an error of `check` again: the file is not its cause."""
    if isinstance(failure, (RequestError, Cancelled)):
        raise failure


def _without_end(data: bytes, check: Check) -> Image.Image | None:
    """Decode a JPEG that lacks only its end marker; None when more is missing."""
    pair = []
    for candidate in jpeg_markers.without_end_marker(data):
        image = Image.open(_CheckedFile(candidate, check), formats=("JPEG",))
        image.decodermaxblock = BLOCK_BYTES
        try:
            image.load()
        except Exception as failure:
            _reraise(failure)
            return None
        pair.append(image)
    is_whole = np.array_equal(np.asarray(pair[0]), np.asarray(pair[1]))
    return pair[0] if is_whole else None


def _check_sizes(image: Image.Image, name: str) -> None:
    width, height = image.size
    short, long = sorted(image.size)
    is_large = long > MAX_SIDE or width * height > MAX_PIXELS
    if short < MIN_SIDE or is_large:
        raise RequestError(f"{name} is {width} x {height} pixels; {sizes()}")
    if long > short * MAX_ASPECT:
        raise RequestError(
            f"{name} is {width} x {height} pixels; "
            f"the longer side may be at most {MAX_ASPECT:g} times the shorter"
        )


def _check_frames(image: Image.Image, name: str, advice: str) -> None:
    # cameras add a small second image to some JPEG files ("MPO"), and phones a series of images to
    # a HEIC file; Pillow opens the main one
    frames = 1 if image.format in ("MPO", "HEIF") else getattr(image, "n_frames", 1)
    if isinstance(image, TiffImageFile) and frames > 1:
        frames = tiff_tags.count_pages(image, frames)
    if frames != 1:
        raise RequestError(
            f"{name} has {frames} frames; only 1 is allowed, send one of them{advice}"
        )


def _colour_chunks(image: Image.Image, data: bytes) -> dict[bytes, bytes]:
    """Colour information other than a profile, as chunks of a PNG."""
    if data.startswith(png_chunks.SIGNATURE):
        return png_chunks.colour_chunks(data)
    return heif_boxes.colour_chunks(data) if image.format in ("AVIF", "HEIF") else {}


def _as_rgb(
    image: Image.Image, icc: bytes | None, notes: list[str]
) -> tuple[Image.Image, bytes | None]:
    """A CMYK, grey or Lab image as RGB, and its new profile. Pillow converts it later if its
    profile does not fit."""
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    plain = image.convert("L") if image.mode == "LA" else image
    result = colour.converted(plain, icc)
    if result is None:
        notes.append("the image's colour profile does not fit it and was not used")
        return image, None
    if alpha is not None:
        result[0].putalpha(alpha)
    return result

"""Images: decoding and encoding, resolution buckets, masks, and pasting an edit into its source
image.

Pixels are uint8 [H, W, 3] RGB, or [H, W, 4] with alpha. A mask is bool [H, W], True = edit. Cells
are bool [N], row-major over the bucket's grid of CELL × CELL pixel squares. RequestError for
invalid files."""

from __future__ import annotations

import base64
import binascii
import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from retouch.api.answer_format import DEFAULT_LEVEL, DEFAULT_QUALITY, LOSSLESS
from retouch.api.errors import RequestError, about
from retouch.api.geometry import BUCKETS, CELL, KEEP_BELOW
from retouch.api.limits import MAX_IMAGE_BYTES
from retouch.imaging.formats import advice, allowed, is_known, other_format
from retouch.imaging.photo import Check, Photo, go_on, loaded, opened, photo_of, upright
from retouch.imaging.strips import in_strips

# EXIF orientations that swap width and height, and the transposition that turns them upright
SWAPPED = {
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(data: bytes, name: str = "IMAGE", first_frame: bool | None = None) -> np.ndarray:
    """Decode an image file (or its base64 text) to sRGB uint8 [H, W, 3], upright, without alpha."""
    return decode_photo(data, name, first_frame=first_frame).srgb()


def decode_photo(
    data: bytes, name: str = "IMAGE", check: Check = go_on, first_frame: bool | None = None
) -> Photo:
    """Decode an image file (or its base64 text) with its colours and transparency; RequestError.

    `check` is called during decoding and ends it by raising. Files of several frames are refused
    unless `first_frame` is True. None says that the caller has no such option."""
    with about(name):
        return photo_of(_plain(data, name), name, check, first_frame)


def decode_mask(
    data: bytes, height: int, width: int, name: str = "REGION", orientation: int = 1
) -> np.ndarray:
    """Decode a mask to bool [height, width], True where it is white; RequestError for another size.

    A mask may also have the stored size of its source image. It is then turned by that image's EXIF
    `orientation`."""
    subject = f"{name} mask"
    with about(name):
        photo = _sized(decode_photo(data, subject), height, width, subject, orientation)
    mask = photo.opaque(background=0).mean(axis=2) >= 128
    if not mask.any():
        raise RequestError(
            f"{subject} is black all over; paint what may change white, or send auto, full or find",
            field=name,
        )
    return mask


def decode_transparency(
    data: bytes, height: int, width: int, name: str, orientation: int = 1
) -> np.ndarray:
    """Decode an image to bool [height, width], True where it is transparent; RequestError when it
    is opaque."""
    with about(name):
        photo = _sized(decode_photo(data, name), height, width, name, orientation)
        if photo.alpha is None and not loaded(_plain(data, name), name).has_transparency_data:
            raise RequestError(
                f"{name} has no alpha channel; "
                "send one that is transparent where the image may change"
            )
        if photo.alpha is None or not (photo.alpha < 128).any():
            raise RequestError(f"{name} is opaque all over; make transparent what may change")
        return photo.alpha < 128


def stored_size(data: bytes, name: str = "IMAGE") -> tuple[int, int]:
    """(width, height) of an encoded image as stored, from its header; RequestError."""
    with about(name):
        return opened(_plain(data, name), name).size


def upright_size(data: bytes, name: str = "IMAGE") -> tuple[int, int]:
    """(width, height) of an encoded image after `decode`; RequestError."""
    # decoded as a whole, because a PNG may hold its orientation behind its pixels
    with about(name):
        image = loaded(_plain(data, name), name)
    return upright(image).size


def with_alpha(pixels: np.ndarray) -> np.ndarray:
    """Pixels [H, W, 4] of opaque [H, W, 3]; those that have alpha stay the same array."""
    return pixels if pixels.shape[2] == 4 else Photo(pixels).rgba


def on_white(pixels: np.ndarray) -> np.ndarray:
    """Pixels [H, W, 3] of [H, W, 4] on white; those without alpha stay the same array."""
    return Photo(pixels[:, :, :3], pixels[:, :, 3]).opaque() if pixels.shape[2] == 4 else pixels


def encode_mask(mask: np.ndarray) -> bytes:
    """bool [H, W] → a PNG, white where True."""
    return encode(mask.astype(np.uint8) * 255)


def encode(
    pixels: np.ndarray,
    format: str = "png",
    quality: int = DEFAULT_QUALITY,
    level: int = DEFAULT_LEVEL,
    icc: bytes | None = None,
) -> bytes:
    """Encode uint8 [H, W, 3], [H, W, 4] with alpha, or grey [H, W].

    `quality` (1 to 100) is for jpeg and webp; webp with 100 is lossless. `level` (0 to 9) is the
    compression of png. `icc` is the profile of the pixels."""
    out = io.BytesIO()
    options = {
        "png": {"compress_level": level},
        # no chroma subsampling, so that unedited pixels look the same
        "jpeg": {"quality": quality, "subsampling": 0},
        "webp": {"exact": True, **_webp(quality)},  # keeps the colours of transparent pixels
    }[format]
    Image.fromarray(pixels).save(out, format.upper(), icc_profile=icc, **options)
    return out.getvalue()


def _webp(quality: int) -> dict[str, object]:
    """Options of Pillow. Lossless with the fastest method is faster than lossy, and a third smaller
    than PNG."""
    if quality == LOSSLESS:
        return {"lossless": True, "method": 0, "quality": 20}
    return {"quality": quality}


# -- geometry --------------------------------------------------------------------------------------


def bucket(height: int, width: int, sizes: Sequence[tuple[int, int]] = BUCKETS) -> tuple[int, int]:
    """The one of `sizes` (height, width) with the nearest aspect ratio."""
    return min(sizes, key=lambda size: abs(math.log(size[0] / size[1]) - math.log(height / width)))


def fit(
    pixels: np.ndarray, size: tuple[int, int], by: Image.Resampling = Image.Resampling.LANCZOS
) -> np.ndarray:
    """Resize pixels to `size` (height, width); transparent ones lend no colour. Returns the
    same array when they have that size."""
    if pixels.shape[:2] == tuple(size):
        return pixels
    image = Image.fromarray(pixels).resize((size[1], size[0]), by)
    return np.asarray(image)


def cells_of_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Mask bool [H, W] → cells bool [N] of the bucket `size`: a cell is True if any of its pixels
    is."""
    rows, columns = (_starts(count, side // CELL) for count, side in zip(mask.shape, size))
    return np.logical_or.reduceat(
        np.logical_or.reduceat(mask, rows, axis=0), columns, axis=1
    ).ravel()


def mask_of_cells(cells: np.ndarray, size: tuple[int, int], height: int, width: int) -> np.ndarray:
    """Cells bool [N] of the bucket `size` → mask bool [height, width] of their pixels."""
    grid = cells.reshape(size[0] // CELL, size[1] // CELL)
    # the same starts as in cells_of_mask, so that both assign a pixel to the same cell
    rows, columns = (
        np.searchsorted(_starts(count, cells_), np.arange(count), side="right") - 1
        for count, cells_ in zip((height, width), grid.shape)
    )
    return grid[rows][:, columns]


def small_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Mask bool [H, W] at a smaller `size` (height, width): True where half of a pixel is, or where
    any of it is if there is no such pixel."""
    image = Image.fromarray(mask.view(np.uint8) * 255)
    shares = np.asarray(image.resize((size[1], size[0]), Image.Resampling.BOX, reducing_gap=2.0))
    return shares >= 128 if (shares >= 128).any() else shares > 0


def paste_back(
    source: np.ndarray, edited: np.ndarray, mask: np.ndarray, keep_below: int = KEEP_BELOW
) -> np.ndarray:
    """The edit at the source image's size, with the source's own pixels where nothing was edited.

    These are the pixels where `mask` [H, W] is False, or where the edit differs by fewer than
    `keep_below` grey levels."""
    height, width = source.shape[:2]
    edited = fit(edited, (height, width))
    if keep_below <= 0 and mask.all():
        return edited
    pasted = source.copy()
    is_changed = changed(source, edited, mask, keep_below)

    def paste(rows: slice) -> None:
        np.copyto(pasted[rows], edited[rows], where=is_changed[rows, :, None])

    in_strips(paste, height)
    return pasted


def changed(
    source: np.ndarray, edited: np.ndarray, mask: np.ndarray, keep_below: int
) -> np.ndarray:
    """bool [H, W]: pixels of the mask that the edit changes by `keep_below` grey levels or more."""
    if keep_below <= 0:
        return mask
    moved = np.empty(mask.shape, bool)

    def compare(rows: slice) -> None:
        before = source[rows]
        after = edited[rows]
        is_far = np.maximum(before, after) - np.minimum(before, after) >= keep_below
        np.logical_or.reduce(
            [is_far[:, :, channel] for channel in range(is_far.shape[2])], 0, out=moved[rows]
        )

    in_strips(compare, len(source))
    return mask & moved


def _starts(pixels: int, cells: int) -> np.ndarray:
    return np.arange(cells) * pixels // cells


# -- files -----------------------------------------------------------------------------------------


def _plain(data: bytes, name: str) -> bytes:
    """The bytes of a file that may be sent as base64 text or a data: URL; RequestError."""
    if not data:
        raise RequestError(f"{name} is empty; send a picture file: {allowed()}")
    limit = MAX_IMAGE_BYTES
    # base64 text of an image never starts like one of the other formats
    if not is_known(data) and (known := other_format(data)):
        raise RequestError(f"{name} is {known} file; {advice(known)}")
    if not is_known(data) and len(data) <= limit * 3 // 2:  # base64 in lines, too
        text = data.split(b",", 1)[1] if data.startswith(b"data:") and b"," in data[:64] else data
        try:
            data = base64.b64decode(text.translate(None, b"\r\n \t"), validate=True)
        except (binascii.Error, ValueError):
            raise RequestError(
                f"{name} is not a picture file, nor one as base64 text; {allowed()} are allowed"
            ) from None
    if len(data) > limit:
        raise RequestError(f"{name} has {len(data)} bytes; at most {limit} are allowed")
    return data


def _sized(photo: Photo, height: int, width: int, name: str, orientation: int) -> Photo:
    """The mask, turned if it has the stored size of its source image; RequestError for another
    size."""
    shape = photo.pixels.shape[:2]
    if shape == (width, height) != (height, width) and orientation in SWAPPED:
        alpha = None if photo.alpha is None else _turned(photo.alpha, orientation)
        return Photo(_turned(photo.pixels, orientation), alpha)
    if shape != (height, width):
        raise RequestError(
            f"{name} is {shape[1]} x {shape[0]} pixels; it must be the image's {width} x {height}"
        )
    return photo


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).transpose(SWAPPED[orientation]))

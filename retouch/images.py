"""Images: bytes to RGB pixels and back, resolution buckets, masks, and pasting untouched pixels back.

Pixels are uint8 [H, W, 3] RGB. A mask is bool [H, W], True = edit. Cells are bool [N], row-major over the
bucket's grid of CELL × CELL pixel squares. Whatever a sender did wrong comes out as RequestError.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps

from retouch import types
from retouch.types import BUCKETS, CELL, RequestError

MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF")


def decode(data: bytes, name: str = "IMAGE") -> np.ndarray:
    """PNG, JPEG or WebP bytes (or their base64 text) → uint8 [H, W, 3], upright, without alpha or metadata."""
    return _pixels(_open(data, name), background=255)


def decode_mask(data: bytes, height: int, width: int, name: str = "REGION") -> np.ndarray:
    """An encoded mask → bool [height, width], True where it is white; RequestError when the size differs."""
    image = _open(data, f"{name} mask")
    if image.size != (width, height):
        raise RequestError(
            f"{name} mask is {image.width} x {image.height} pixels; it must be the image's {width} x {height}"
        )
    mask = _pixels(image, background=0).mean(axis=2) >= 128
    if not mask.any():
        raise RequestError(f"{name} mask is black all over; paint what may change white, or send auto or full")
    return mask


def decode_transparency(data: bytes, height: int, width: int, name: str) -> np.ndarray:
    """An encoded image → bool [height, width], True where it is transparent; RequestError when it is nowhere."""
    image = _open(data, name)
    if image.size != (width, height):
        raise RequestError(
            f"{name} is {image.width} x {image.height} pixels; it must be the image's {width} x {height}"
        )
    if not image.has_transparency_data:
        raise RequestError(f"{name} has no alpha channel; send one that is transparent where the image may change")
    mask = np.asarray(image.convert("RGBA").getchannel("A")) < 128
    if not mask.any():
        raise RequestError(f"{name} is opaque all over; make transparent what may change")
    return mask


def stored_size(data: bytes, name: str = "IMAGE") -> tuple[int, int]:
    """(width, height) of an encoded image as its header tells it, whichever way it stands; RequestError."""
    return _header(data, name).size


def upright_size(data: bytes, name: str = "IMAGE") -> tuple[int, int]:
    """(width, height) of an encoded image as `decode` sees it; RequestError."""
    return _open(data, name).size  # all of it: a PNG may tell how it stands after its pixels


def encode_mask(mask: np.ndarray) -> bytes:
    """bool [H, W] → a PNG, white where True."""
    return encode(mask.astype(np.uint8) * 255)


def encode(pixels: np.ndarray, format: str = "png", quality: int = types.DEFAULT_QUALITY) -> bytes:
    """uint8 [H, W, 3] or [H, W] → encoded bytes; `quality` (1 to 100) counts for jpeg and webp."""
    out = io.BytesIO()
    options = {} if format == "png" else {"quality": quality}
    Image.fromarray(pixels).save(out, format.upper(), **options)
    return out.getvalue()


def key(pixels: np.ndarray) -> str:
    """SHA-256 of the pixels and their size: the same picture has one key, however it was encoded."""
    digest = hashlib.sha256(repr(pixels.shape).encode())
    digest.update(np.ascontiguousarray(pixels))
    return digest.hexdigest()


# -- geometry -------------------------------------------------------------------------------------------------------


def bucket(height: int, width: int, sizes: Sequence[tuple[int, int]] = BUCKETS) -> tuple[int, int]:
    """The one of `sizes` (height, width) whose aspect ratio is nearest."""
    return min(sizes, key=lambda size: abs(math.log(size[0] / size[1]) - math.log(height / width)))


def fit(pixels: np.ndarray, size: tuple[int, int],
        by: Image.Resampling = Image.Resampling.LANCZOS) -> np.ndarray:
    """Pixels at `size` (height, width); the very same array when they have it already."""
    if pixels.shape[:2] == tuple(size):
        return pixels
    image = Image.fromarray(pixels).resize((size[1], size[0]), by)
    return np.asarray(image)


def cells_of_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """bool [H, W] → bool [N] of the bucket `size`: a cell is edited when any of its pixels is."""
    rows, columns = (_starts(count, side // CELL) for count, side in zip(mask.shape, size))
    return np.logical_or.reduceat(np.logical_or.reduceat(mask, rows, axis=0), columns, axis=1).ravel()


def mask_of_cells(cells: np.ndarray, size: tuple[int, int], height: int, width: int) -> np.ndarray:
    """bool [N] of the bucket `size` → bool [height, width]: the pixels that belong to the cells."""
    grid = cells.reshape(size[0] // CELL, size[1] // CELL)
    # searching the same starts as cells_of_mask keeps a cell's pixels one set in both directions
    rows, columns = (
        np.searchsorted(_starts(count, cells_), np.arange(count), side="right") - 1
        for count, cells_ in zip((height, width), grid.shape)
    )
    return grid[rows][:, columns]


def paste_back(source: np.ndarray, edited: np.ndarray, mask: np.ndarray,
               keep_below: int = types.KEEP_BELOW) -> np.ndarray:
    """The edit at the source's size, with the source's own pixels wherever `mask` [H, W] is False, and where the edit
    differs by fewer than `keep_below` grey levels, so that nothing was meant to change."""
    edited = fit(edited, source.shape[:2])
    moved = np.abs(edited.astype(np.int16) - source).max(axis=2) >= keep_below
    return np.where((mask & moved)[:, :, None], edited, source)


def _starts(pixels: int, cells: int) -> np.ndarray:
    return np.arange(cells) * pixels // cells


# -- decoding ---------------------------------------------------------------------------------------------------------


def _header(data: bytes, name: str) -> Image.Image:
    """An image of which no pixel is read yet; its size, sides, aspect and frames are allowed."""
    data = _plain(data, name)
    try:
        image = Image.open(io.BytesIO(data), formats=types.IMAGE_FORMATS)
    except Image.DecompressionBombError:
        raise RequestError(f"{name} has too many pixels; {_sizes()}") from None
    except Exception:
        raise RequestError(f"{name} is not a readable PNG, JPEG or WebP file") from None
    _check(image, name)
    return image


def _open(data: bytes, name: str) -> Image.Image:
    """A loaded, upright image."""
    image = _header(data, name)
    try:
        image.load()
    except Exception:
        raise RequestError(f"{name} is damaged or truncated; send a whole PNG, JPEG or WebP file") from None
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # a broken EXIF block says nothing about the pixels
        return image


def _plain(data: bytes, name: str) -> bytes:
    if not data:
        raise RequestError(f"{name} is empty; send a PNG, JPEG or WebP file")
    limit = types.MAX_IMAGE_BYTES
    if not data.startswith(MAGIC) and len(data) <= limit * 3 // 2:  # base64 in lines, too
        text = data.split(b",", 1)[1] if data.startswith(b"data:") and b"," in data[:64] else data
        try:
            data = base64.b64decode(text.translate(None, b"\r\n \t"), validate=True)
        except (binascii.Error, ValueError):
            raise RequestError(f"{name} is not a PNG, JPEG or WebP file, nor one as base64 text") from None
    if len(data) > limit:
        raise RequestError(f"{name} has {len(data)} bytes; at most {limit} are allowed")
    return data


def _check(image: Image.Image, name: str) -> None:
    width, height = image.size
    short, long = sorted(image.size)
    if short < types.MIN_SIDE or long > types.MAX_SIDE or width * height > types.MAX_PIXELS:
        raise RequestError(f"{name} is {width} x {height} pixels; {_sizes()}")
    if long > short * types.MAX_ASPECT:
        raise RequestError(
            f"{name} is {width} x {height} pixels; "
            f"the longer side may be at most {types.MAX_ASPECT:g} times the shorter"
        )
    # cameras put a small second picture into some JPEG files ("MPO"); the first is the photo
    if image.format != "MPO" and getattr(image, "n_frames", 1) != 1:
        raise RequestError(f"{name} has {image.n_frames} frames; only 1 is allowed")


def _sizes() -> str:
    return (
        f"sides must be {types.MIN_SIDE} to {types.MAX_SIDE} and the area at most {types.MAX_PIXELS} pixels"
    )


def _pixels(image: Image.Image, background: int) -> np.ndarray:
    if image.mode.startswith("I;16") or image.mode == "I":  # 16-bit grey: Pillow would clip, not scale
        grey = np.asarray(image).astype(np.uint32)
        image = Image.fromarray((grey >> 8).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, (background,) * 3 + (255,)), layer)
    return np.asarray(image.convert("RGB"))

"""Conversion of a decoded image to 8-bit channels."""

from __future__ import annotations

import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from retouch.imaging import png_chunks, tiff_tags


def bits_of(image: Image.Image, data: bytes) -> int:
    """Bits a channel; fewer than 8 are decoded to 8."""
    if data.startswith(png_chunks.SIGNATURE):
        return max(8, data[24])
    if image.format == "HEIF":
        return max(8, image.info.get("bit_depth", 8))
    return tiff_tags.bits(image) if isinstance(image, TiffImageFile) else 8


def in_eight_bits(image: Image.Image, bits: int) -> Image.Image:
    """A 16-bit grey image as 8-bit grey, which ImageCms needs; other images unchanged."""
    if not image.mode.startswith("I"):
        return image
    pixels, alpha = _deep_grey(image, bits)
    grey = Image.fromarray(np.ascontiguousarray(pixels[:, :, 0]))
    if alpha is not None:
        grey.putalpha(Image.fromarray(alpha))
    return grey


def channels(image: Image.Image, bits: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels uint8 [H, W, 3], and alpha uint8 [H, W] (None: all pixels are opaque)."""
    if image.mode.startswith("I"):  # 16-bit grey: Pillow would clip, not scale
        return _deep_grey(image, bits)
    if not image.has_transparency_data:
        return np.asarray(_in_mode(image, "RGB")), None
    channels = np.asarray(_in_mode(image, "RGBA"))
    alpha = channels[:, :, 3]
    pixels = np.ascontiguousarray(channels[:, :, :3])
    return pixels, None if (alpha == 255).all() else np.ascontiguousarray(alpha)


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    """Convert without the copy that `convert` makes of an image that has the mode already."""
    return image if image.mode == mode else image.convert(mode)


def _deep_grey(image: Image.Image, bits: int) -> tuple[np.ndarray, np.ndarray | None]:
    levels = np.asarray(image)
    grey = (levels >> (bits - 8)).clip(0, 255).astype(np.uint8)
    clear = image.info.get("transparency")
    alpha = None
    if isinstance(clear, int) and (levels == clear).any():
        alpha = np.where(levels == clear, 0, 255).astype(np.uint8)
    return np.repeat(grey[:, :, None], 3, axis=2), alpha

"""Small pictures for tests."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageDraw


def scene(width: int = 128, height: int = 128) -> np.ndarray:
    """A red circle and a blue square on a gradient, uint8 [height, width, 3]."""
    ramp = np.linspace(120, 200, width).astype(np.uint8)
    image = Image.fromarray(np.repeat(np.stack([ramp] * 3, -1)[None], height, 0))
    draw = ImageDraw.Draw(image)
    side = min(width, height)
    draw.ellipse((side * 0.1, side * 0.1, side * 0.45, side * 0.45), fill=(220, 40, 40))
    draw.rectangle((side * 0.55, side * 0.55, side * 0.9, side * 0.9), fill=(40, 80, 220))
    return np.asarray(image)


def file_of(pixels: np.ndarray, format: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format, **options)
    return out.getvalue()


def mask_file(width: int, height: int, box: tuple[int, int, int, int]) -> bytes:
    """A mask file, white inside `box` (left, top, right, bottom), black elsewhere."""
    mask = np.zeros((height, width), np.uint8)
    mask[box[1] : box[3], box[0] : box[2]] = 255
    return file_of(mask)


def huge_png(width: int = 100_000, height: int = 100_000) -> bytes:
    """A few bytes that claim to be a very large picture."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"\0" * 64)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)

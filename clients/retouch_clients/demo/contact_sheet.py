"""A contact sheet: rows of images with captions."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont, ImageOps

TILE = 256  # pixels of an image's height
GAP = 12
CAPTION = 28


@dataclass(frozen=True)
class Row:
    """Encoded images side by side, each above its caption, and a title above them all."""

    title: str
    captions: Sequence[str]
    files: Sequence[bytes]


def contact_sheet(rows: Sequence[Row]) -> Image.Image:
    """The rows below each other, with all images scaled to one height."""
    strips = [row_image(row) for row in rows]
    size = max(strip.width for strip in strips), sum(strip.height for strip in strips)
    sheet = Image.new("RGB", size, "white")
    top = 0
    for strip in strips:
        sheet.paste(strip, (0, top))
        top += strip.height
    return sheet


def row_image(row: Row) -> Image.Image:
    images = [_tile(file) for file in row.files]
    width = sum(image.width + GAP for image in images) + GAP
    strip = Image.new("RGB", (width, TILE + 2 * CAPTION + 2 * GAP), "white")
    draw = ImageDraw.Draw(strip)
    font = ImageFont.load_default(16)
    draw.text((GAP, GAP // 2), row.title, "black", font)
    left = GAP
    for caption, image in zip(row.captions, images):
        strip.paste(image, (left, CAPTION + GAP))
        draw.text((left, CAPTION + GAP + TILE + 4), caption, "black", font)
        left += image.width + GAP
    return strip


def _tile(file: bytes) -> Image.Image:
    """The image upright: a phone's photo says in its EXIF how it was held."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(file))).convert("RGB")
    return image.resize((max(1, TILE * image.width // image.height), TILE))

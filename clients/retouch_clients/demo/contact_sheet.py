"""A contact sheet: images side by side with captions."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw, ImageFont

TILE = 256  # pixels of an image's height
GAP = 12
CAPTION = 28


def side_by_side(title: str, captions: list[str], files: list[bytes]) -> Image.Image:
    """The encoded images side by side, scaled to one height, each with its caption."""
    images = [_tile(file) for file in files]
    width = sum(image.width + GAP for image in images) + GAP
    sheet = Image.new("RGB", (width, TILE + 2 * CAPTION + 2 * GAP), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(16)
    draw.text((GAP, GAP // 2), title, "black", font)
    left = GAP
    for caption, image in zip(captions, images):
        sheet.paste(image, (left, CAPTION + GAP))
        draw.text((left, CAPTION + GAP + TILE + 4), caption, "black", font)
        left += image.width + GAP
    return sheet


def _tile(file: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(file)).convert("RGB")
    return image.resize((max(1, TILE * image.width // image.height), TILE))

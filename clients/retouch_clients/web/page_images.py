"""Images for the page: the outlined region, previews in the source's shape, thumbnails."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw

from retouch.api.response import Operation, Region
from retouch.imaging import images

SIDE = 768  # pixels of the longer side; small images are enlarged so that lines look thin
ALLOWED = (79, 70, 229)
TARGET = (219, 39, 119)
PAPER = (255, 255, 255)
# Pillow calls a JPEG with appended images MPO; it is still a JPEG file
SUFFIXES = {"JPEG": "jpg", "MPO": "jpg"}
DISPLAYABLE = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP")
VEIL = 0.6  # opacity of the white over the unchanged part


def size_of(image: bytes) -> tuple[int, int]:
    """(height, width) of an encoded image after rotation; RequestError if the server rejects it."""
    height, width = images.decode(image).shape[:2]
    return height, width


def is_displayable(image: bytes) -> bool:
    """Whether browsers can show the image, even if the server rejects it."""
    try:
        with Image.open(io.BytesIO(image)) as picture:
            return picture.format in DISPLAYABLE
    except (OSError, ValueError, Image.DecompressionBombError):
        return False


def suffix_of(image: bytes) -> str:
    """The file suffix of an encoded image, such as png, jpg or webp."""
    with Image.open(io.BytesIO(image)) as picture:
        name = picture.format or ""
        return SUFFIXES.get(name, name.lower())


def shrunk(image: bytes, side: int) -> Image.Image:
    """The image scaled down until no side exceeds `side`."""
    picture = Image.fromarray(images.decode(image))
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return picture


def shaped(preview: bytes, size: tuple[int, int]) -> Image.Image:
    """A preview fitted to the shape of the source image (height, width)."""
    scale = min(1, SIDE / max(size))
    height = max(1, round(size[0] * scale))
    width = max(1, round(size[1] * scale))
    return Image.fromarray(images.fit(images.decode(preview), (height, width)))


def outlined(image: bytes, region: Region, operations: list[Operation]) -> Image.Image:
    """The image with a frame around the region and a veil over the rest.

    Thin frames mark the targets of the operations."""
    picture = Image.fromarray(images.decode(image))
    scale = SIDE / max(picture.size)
    picture = picture.resize(
        [max(1, round(side * scale)) for side in picture.size], Image.Resampling.LANCZOS
    )
    veiled = Image.blend(picture, Image.new("RGB", picture.size, PAPER), VEIL)
    if region.share:
        left, top, right, bottom = _pixels(region.box, picture.size)
        veiled.paste(picture.crop((left, top, right, bottom)), (left, top))
    draw = ImageDraw.Draw(veiled)
    for operation in operations:
        if operation.box:
            _frame(draw, _pixels(operation.box, picture.size), TARGET, 3)
    if region.share:
        _frame(draw, _pixels(region.box, picture.size), ALLOWED, 6)
    return veiled


def _frame(
    draw: ImageDraw.ImageDraw, box: tuple[int, ...], colour: tuple[int, ...], width: int
) -> None:
    """A coloured line with a white border, visible on any background."""
    left, top, right, bottom = box
    draw.rectangle((left, top, right - 1, bottom - 1), outline=PAPER, width=width + 4)
    if right - left > 4 and bottom - top > 4:
        draw.rectangle((left + 2, top + 2, right - 3, bottom - 3), outline=colour, width=width)


def _pixels(box: tuple[float, ...], size: tuple[int, int]) -> tuple[int, ...]:
    """Shares of the sides in pixels of an image of `size` (width, height)."""
    return tuple(round(side * size[number % 2]) for number, side in enumerate(box))

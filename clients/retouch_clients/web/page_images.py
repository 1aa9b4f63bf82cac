"""Pictures for the page: the region drawn over the source, previews at the source's shape,
thumbnails."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw

from retouch.api.response import Operation, Region
from retouch.imaging import images

SIDE = 768  # pixels of a drawing's longer side, so that its lines are thin on small pictures too
ALLOWED = (79, 70, 229)
TARGET = (219, 39, 119)
PAPER = (255, 255, 255)
# cameras append further pictures to a JPEG, which Pillow then calls MPO; any program opens it as
# the JPEG that it is
SUFFIXES = {"JPEG": "jpg", "MPO": "jpg"}
SHOWN = ("PNG", "JPEG", "MPO", "WEBP", "GIF", "BMP")
VEIL = 0.6  # how much of the paper lies over what stays as it is


def size_of(image: bytes) -> tuple[int, int]:
    """(height, width) of an encoded picture, upright; RequestError when it is none that the doors
    take."""
    return images.decode(image).shape[:2]


def is_picture(image: bytes) -> bool:
    """Whether a browser has something to show for these bytes, be it a picture that the doors
    refuse."""
    try:
        with Image.open(io.BytesIO(image)) as picture:
            return picture.format in SHOWN
    except (OSError, ValueError, Image.DecompressionBombError):
        return False


def suffix_of(image: bytes) -> str:
    """png, jpg or webp: what a file of these bytes is called."""
    with Image.open(io.BytesIO(image)) as picture:
        return SUFFIXES.get(picture.format, picture.format.lower())


def shrunk(image: bytes, side: int) -> Image.Image:
    """The picture with no side longer than `side`; never larger than it is."""
    picture = Image.fromarray(images.decode(image))
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return picture


def shaped(preview: bytes, size: tuple[int, int]) -> Image.Image:
    """A preview, which has a size of its own, in the shape of the source (height, width)."""
    scale = min(1, SIDE / max(size))
    fitted = images.fit(images.decode(preview), tuple(max(1, round(side * scale)) for side in size))
    return Image.fromarray(fitted)


def outlined(image: bytes, region: Region, operations: list[Operation]) -> Image.Image:
    """The picture with a frame around what may change and a veil over the rest; thin frames around
    what the operations speak of."""
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
    """A line in a thin light one, to be seen on any ground."""
    left, top, right, bottom = box
    draw.rectangle((left, top, right - 1, bottom - 1), outline=PAPER, width=width + 4)
    if right - left > 4 and bottom - top > 4:
        draw.rectangle((left + 2, top + 2, right - 3, bottom - 3), outline=colour, width=width)


def _pixels(box: tuple[float, ...], size: tuple[int, int]) -> tuple[int, ...]:
    """Shares of a picture of `size` (width, height) in its pixels."""
    return tuple(round(side * size[number % 2]) for number, side in enumerate(box))

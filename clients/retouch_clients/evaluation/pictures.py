"""Pictures of an evaluation: what a judge is sent, what scripts read, and thumbnails."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

JUDGE_SIDE = 768  # pixels of the longer side, as the authors of RISEBench send
JUDGE_QUALITY = 90
THUMBNAIL_SIDE = 224
THUMBNAIL_QUALITY = 75


class PictureError(ValueError):
    """A picture that cannot be read. The message names the file."""


def upright(path: Path) -> Image.Image:
    """The picture as RGB on white, turned by its EXIF orientation; PictureError."""
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file)
            if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
                layer = image.convert("RGBA")
                image = Image.new("RGBA", layer.size, "white")
                image.alpha_composite(layer)
            return image.convert("RGB")
    except (OSError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as failure:
        raise PictureError(f"{path} is not a readable picture: {failure}") from None


def as_png(path: Path) -> bytes:
    """The picture as a PNG file, upright; PictureError."""
    return _encoded(upright(path), "PNG", compress_level=1)


def for_judge(path: Path, like: Path | None = None) -> bytes:
    """A JPEG file of at most 768 pixels a side; first scaled to the size of `like`, if set."""
    image = upright(path)
    if like is not None:
        size = upright(like).size
        image = image if image.size == size else image.resize(size, Image.Resampling.LANCZOS)
    image.thumbnail((JUDGE_SIDE, JUDGE_SIDE), Image.Resampling.LANCZOS)
    return _encoded(image, "JPEG", quality=JUDGE_QUALITY)


def thumbnail(path: Path) -> bytes:
    """A small JPEG file; PictureError."""
    image = upright(path)
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    return _encoded(image, "JPEG", quality=THUMBNAIL_QUALITY)


def _encoded(image: Image.Image, format_: str, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()

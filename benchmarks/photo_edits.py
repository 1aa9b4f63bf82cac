"""Edits of photos that are exact at any size, as targets: tone, places, colours, detail, objects.

Pixels are float32 [h, w, 3] from 0 to 1; results may leave that range. Places are relative to the
picture, so that an edit of a small copy is the small copy of an edit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

from retouch.imaging.luma import luma

Pixels = np.ndarray
SEPIA = np.array([[0.393, 0.349, 0.272], [0.769, 0.686, 0.534], [0.189, 0.168, 0.131]], np.float32)
POSTER = 4  # steps of a colour
BLUR = 0.012  # of the longer side
BLOCKS = 24  # along the longer side
DISC = (0.1, 0.2, 0.25)  # centre to the right and down, radius, in halves of the sides


@dataclass(frozen=True)
class PhotoEdit:
    """`of` makes the target of a photo. `before` makes the source image of a photo, where that is
    another picture. `kind` groups edits."""

    name: str
    kind: str
    of: Callable[[Pixels], Pixels]
    before: Callable[[Pixels], Pixels] = lambda pixels: pixels


def grey(pixels: Pixels) -> Pixels:
    return np.repeat(luma(pixels)[:, :, None], 3, 2)


def brighter(pixels: Pixels) -> Pixels:
    return pixels**0.6


def posterised(pixels: Pixels) -> Pixels:
    return np.rint(pixels * POSTER) / POSTER


def blurred(pixels: Pixels) -> Pixels:
    radius = BLUR * max(pixels.shape)
    return as_floats(np.asarray(_image(pixels).filter(ImageFilter.GaussianBlur(radius))))


def sharpened(pixels: Pixels) -> Pixels:
    return pixels + 0.8 * (pixels - blurred(pixels))


def pixelated(pixels: Pixels) -> Pixels:
    image = _image(pixels)
    block = max(image.size) / BLOCKS
    few = round(image.width / block), round(image.height / block)
    blocks = image.resize(few, Image.Resampling.BOX)
    return as_floats(np.asarray(blocks.resize(image.size, Image.Resampling.NEAREST)))


def with_disc(pixels: Pixels) -> Pixels:
    """A patterned disc on the photo."""
    across, down = _places(pixels)
    pattern = 0.5 + 0.3 * np.sin(40 * across) * np.sin(37 * down)
    disc = np.stack([pattern, np.full_like(pattern, 0.3), 0.8 - 0.5 * pattern], 2)
    return _blend(pixels, disc, _disc(pixels))


def with_flat_disc(pixels: Pixels) -> Pixels:
    return _blend(pixels, np.array([0.9, 0.2, 0.1], np.float32), _disc(pixels))


def vignette(pixels: Pixels) -> Pixels:
    across, down = _places(pixels)
    return pixels * (1.2 - 0.6 * (across**2 + down**2)).clip(0, 1)[:, :, None]


def left_grey(pixels: Pixels) -> Pixels:
    across, _ = _places(pixels)
    return _blend(pixels, grey(pixels), (across < 0).astype(np.float32))


def corner_brighter(pixels: Pixels) -> Pixels:
    across, down = _places(pixels)
    return _blend(pixels, brighter(pixels), 2 - 1.2 * np.hypot(across + 1, down + 1))


def edges_blurred(pixels: Pixels) -> Pixels:
    across, down = _places(pixels)
    return _blend(pixels, blurred(pixels), 4 * (np.hypot(across, down) - 0.5))


def reds_blue(pixels: Pixels) -> Pixels:
    return _blend(pixels, pixels[:, :, ::-1], _redness(pixels))


def grey_but_reds(pixels: Pixels) -> Pixels:
    return _blend(grey(pixels), pixels, _redness(pixels))


def darks_brighter(pixels: Pixels) -> Pixels:
    return _blend(pixels, 1.5 * pixels + 0.1, 5 * (0.4 - luma(pixels)))


EDITS = (
    PhotoEdit("warmer", "tone", lambda pixels: pixels * np.array([1.12, 1, 0.85], np.float32)),
    PhotoEdit("brighter", "tone", brighter),
    PhotoEdit("darker", "tone", lambda pixels: pixels**1.6),
    PhotoEdit("contrast", "tone", lambda pixels: 1.5 * pixels - 0.25),
    PhotoEdit("saturation", "tone", lambda pixels: 1.6 * pixels - 0.6 * grey(pixels)),
    PhotoEdit("black and white", "tone", grey),
    PhotoEdit("sepia", "tone", lambda pixels: pixels @ SEPIA),
    PhotoEdit("fade", "tone", lambda pixels: 0.7 * pixels + 0.22),
    PhotoEdit("invert", "tone", lambda pixels: 1 - pixels),
    PhotoEdit("posterise", "tone", posterised),
    PhotoEdit("vignette", "places", vignette),
    PhotoEdit("left half grey", "places", left_grey),
    PhotoEdit("corner brighter", "places", corner_brighter),
    PhotoEdit("red parts blue", "colours", reds_blue),
    PhotoEdit("all but red grey", "colours", grey_but_reds),
    PhotoEdit("dark parts brighter", "colours", darks_brighter),
    PhotoEdit("blur", "detail", blurred),
    PhotoEdit("edges blurred", "detail", edges_blurred),
    PhotoEdit("sharpen", "detail", sharpened),
    PhotoEdit("pixelate", "detail", pixelated),
    PhotoEdit("add a pattern", "objects", with_disc),
    PhotoEdit("add a flat shape", "objects", with_flat_disc),
    PhotoEdit("remove", "objects", lambda pixels: pixels, with_disc),
)


def _redness(pixels: Pixels) -> np.ndarray:
    return 6 * (pixels[:, :, 0] - pixels[:, :, 1:].max(2) - 0.1)


def _disc(pixels: Pixels) -> np.ndarray:
    height, width, _ = pixels.shape
    across, down = _places(pixels)
    distance = np.hypot((across - DISC[0]) * width, (down - DISC[1]) * height)
    return 0.5 * (DISC[2] * max(height, width) - distance) + 0.5


def _blend(pixels: Pixels, other: Pixels, share: np.ndarray) -> Pixels:
    share = share.clip(0, 1)[:, :, None]
    return pixels * (1 - share) + other * share


def _places(pixels: Pixels) -> tuple[np.ndarray, np.ndarray]:
    """How far to the right and down every pixel is, from -1 to 1."""
    down, across = (
        ((np.arange(side) + 0.5) / side * 2 - 1).astype(np.float32) for side in pixels.shape[:2]
    )
    return np.broadcast_to(across, pixels.shape[:2]), np.broadcast_to(
        down[:, None], pixels.shape[:2]
    )


def _image(pixels: Pixels) -> Image.Image:
    return Image.fromarray(as_bytes(pixels))


def as_bytes(pixels: Pixels) -> np.ndarray:
    """uint8 [h, w, 3]."""
    return np.rint(pixels.clip(0, 1) * 255).astype(np.uint8)


def as_floats(pixels: np.ndarray) -> Pixels:
    """Of uint8 [h, w, 3]."""
    return pixels.astype(np.float32) / 255

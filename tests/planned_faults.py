"""Edits of small photographs that are clean, and ones with one planned fault each."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

PHOTOS = sorted((Path(__file__).parent / "images" / "photos").glob("*.jpg"))
SIDE = 128
BOX = np.s_[32:96, 32:96]
RED = (220, 40, 40)
BLUE = (50, 80, 220)


@lru_cache
def photo(path: Path) -> np.ndarray:
    """uint8 [SIDE, SIDE, 3]."""
    image = Image.open(path).convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(image)


def region() -> np.ndarray:
    """The box in the middle, bool [SIDE, SIDE]."""
    mask = np.zeros((SIDE, SIDE), bool)
    mask[BOX] = True
    return mask


def everything() -> np.ndarray:
    return np.ones((SIDE, SIDE), bool)


def with_disc(pixels: np.ndarray, colour: tuple[int, int, int] = RED) -> np.ndarray:
    """A disc within the region, with a little shading."""
    y, x = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    inside = x * x + y * y < 24**2
    shaded = np.array(colour) * (0.9 + 0.1 * y[:, :, None] / 24)
    return np.where(inside[:, :, None], shaded, pixels).clip(0, 255).astype(np.uint8)


def inside(pixels: np.ndarray, edited: np.ndarray) -> np.ndarray:
    """`edited` in the region, `pixels` elsewhere."""
    return np.where(region()[:, :, None], edited, pixels)


def noisy(pixels: np.ndarray, deviation: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, deviation, pixels.shape)
    return (pixels + noise).clip(0, 255).astype(np.uint8)


def blurred(pixels: np.ndarray, deviation: float = 1.5) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(deviation)))


def brightened(pixels: np.ndarray, levels: int) -> np.ndarray:
    return (pixels.astype(int) + levels).clip(0, 255).astype(np.uint8)


def tiled(pixels: np.ndarray, side: int, levels: int = 8) -> np.ndarray:
    """Tiles with an offset of brightness each."""
    count = SIDE // side
    offsets = np.random.default_rng(0).integers(-levels, levels + 1, (count, count, 1))
    return (pixels + offsets.repeat(side, 0).repeat(side, 1)).clip(0, 255).astype(np.uint8)


def moved(pixels: np.ndarray, right: int, down: int) -> np.ndarray:
    """A shift of whole pixels with the border repeated."""
    reach = max(abs(right), abs(down))
    padded = np.pad(pixels, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    top, left = reach - down, reach - right
    return padded[top : top + SIDE, left : left + SIDE]


def saturated(pixels: np.ndarray) -> np.ndarray:
    return ((pixels.astype(float) - 128) * 4 + 128).clip(0, 255).astype(np.uint8)

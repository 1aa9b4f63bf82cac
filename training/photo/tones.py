"""The exact result of every operation that retouches a photograph, at any size.

All take and return pixels float32 [H, W, 3] in 0..1. `strength` is 0.5 for "slight", 1 for the
usual amount and 1.6 for "strong". Lengths are shares of the shorter side, so that a small copy of
the result is the result for a small copy."""

from collections.abc import Callable

import cv2
import numpy as np

from retouch.imaging.luma import luma
from training.photo.colours import tinted
from training.vocabulary import NONE

STRENGTHS = {"slight": 0.5, NONE: 1.0, "strong": 1.6}
SEPIA = np.array(((0.393, 0.769, 0.189), (0.349, 0.686, 0.168), (0.272, 0.534, 0.131)), np.float32)
LEVELS = 4  # of a channel in a posterised picture
BLUR = 0.018  # standard deviation
SHARPEN = 0.012
BLOCKS = {"slight": 32, NONE: 16, "strong": 8}  # of a pixelated picture's shorter side


def apply(pixels: np.ndarray, op: str, amount: str = NONE, colour: str = NONE) -> np.ndarray:
    """The result of one operation everywhere. `colour` is a tint's."""
    if op == "pixelate":
        return pixelate(pixels, BLOCKS[amount])
    if op == "tint":
        return tinted(pixels, colour, 0.22 + 0.2 * STRENGTHS[amount])
    return np.clip(_OPERATIONS[op](pixels, STRENGTHS[amount]), 0, 1).astype(np.float32)


def brighter(pixels: np.ndarray, strength: float) -> np.ndarray:
    return pixels ** (1 / (1 + 0.75 * strength))


def darker(pixels: np.ndarray, strength: float) -> np.ndarray:
    return pixels ** (1 + 0.75 * strength)


def contrast(pixels: np.ndarray, strength: float) -> np.ndarray:
    """A logistic curve through black, middle grey and white."""
    slope = 0.5 + 1.2 * strength
    return 0.5 + 0.5 * np.tanh(slope * (2 * pixels - 1)) / np.tanh(slope)


def flatten(pixels: np.ndarray, strength: float) -> np.ndarray:
    return 0.5 + (pixels - 0.5) * (1 - 0.4 * strength)


def warmer(pixels: np.ndarray, strength: float) -> np.ndarray:
    return pixels * (1 + strength * np.array((0.15, 0.02, -0.22), np.float32))


def cooler(pixels: np.ndarray, strength: float) -> np.ndarray:
    return pixels * (1 + strength * np.array((-0.20, -0.02, 0.16), np.float32))


def saturate(pixels: np.ndarray, strength: float) -> np.ndarray:
    return _saturation(pixels, 1 + 0.7 * strength)


def mute(pixels: np.ndarray, strength: float) -> np.ndarray:
    return _saturation(pixels, 1 - 0.45 * strength)


def grey(pixels: np.ndarray, strength: float) -> np.ndarray:
    return _saturation(pixels, 0)


def sepia(pixels: np.ndarray, strength: float) -> np.ndarray:
    return pixels @ SEPIA.T


def fade(pixels: np.ndarray, strength: float) -> np.ndarray:
    """Lifted blacks, less contrast and less colour, as of an old print."""
    dull = _saturation(pixels, 1 - 0.3 * strength)
    return dull * (1 - 0.28 * strength) + 0.19 * strength


def vignette(pixels: np.ndarray, strength: float) -> np.ndarray:
    height, width, _ = pixels.shape
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)
    return pixels * np.clip(1 - 0.42 * strength * (x * x + y * y), 0, 1)[..., None]


def invert(pixels: np.ndarray, strength: float) -> np.ndarray:
    return 1 - pixels


def posterise(pixels: np.ndarray, strength: float) -> np.ndarray:
    return np.rint(pixels * (LEVELS - 1)) / (LEVELS - 1)


def dusk(pixels: np.ndarray, strength: float) -> np.ndarray:
    """Darker, with blue shadows and warm lights."""
    dull = _saturation(pixels, 0.85) ** 1.5
    light = luma(dull)[..., None]
    cold = np.array((0.62, 0.66, 0.95), np.float32)
    warm = np.array((1.0, 0.78, 0.62), np.float32)
    return dull * (cold + light * (warm - cold)) * 0.85


def blur(pixels: np.ndarray, strength: float) -> np.ndarray:
    return _gaussian(pixels, BLUR * strength)


def sharpen(pixels: np.ndarray, strength: float) -> np.ndarray:
    return pixels + 1.1 * strength * (pixels - _gaussian(pixels, SHARPEN))


def pixelate(pixels: np.ndarray, blocks: int) -> np.ndarray:
    """Square blocks of their mean colour, `blocks` along the shorter side."""
    height, width, _ = pixels.shape
    side = min(height, width) / blocks
    small = max(1, round(width / side)), max(1, round(height / side))
    mean = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(mean, (width, height), interpolation=cv2.INTER_NEAREST)


def _saturation(pixels: np.ndarray, factor: float) -> np.ndarray:
    grey = luma(pixels)[..., None]
    return grey + (pixels - grey) * factor


def _gaussian(pixels: np.ndarray, share: float) -> np.ndarray:
    return cv2.GaussianBlur(pixels, (0, 0), share * min(pixels.shape[:2]))


_OPERATIONS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    operation.__name__: operation
    for operation in (
        brighter,
        darker,
        contrast,
        flatten,
        warmer,
        cooler,
        saturate,
        mute,
        grey,
        sepia,
        fade,
        vignette,
        invert,
        posterise,
        dusk,
        blur,
        sharpen,
    )
}

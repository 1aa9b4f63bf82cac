"""Colours of photographs: luma, hue, saturation, and the weights of a colour's pixels.

Pixels are float32 [H, W, 3] in 0..1, weights float32 [H, W] in 0..1."""

from collections.abc import Sequence

import cv2
import numpy as np

from retouch.imaging.luma import luma
from training.vocabulary import HUES

Planes = Sequence[np.ndarray]  # hue in degrees, saturation and value

# centre of a hue and the half width of its band, in degrees
BANDS = {
    "red": (0.0, 16.0),
    "orange": (28.0, 12.0),
    "yellow": (52.0, 12.0),
    "green": (115.0, 48.0),
    "blue": (220.0, 38.0),
    "purple": (290.0, 30.0),
}
HUE_EDGE = 8.0  # degrees over which a band ends
# a tint's colour, and the hue and least saturation that recoloured parts take
TINTS = {
    "red": (0.85, 0.20, 0.20),
    "orange": (0.95, 0.55, 0.15),
    "yellow": (0.93, 0.84, 0.22),
    "green": (0.20, 0.65, 0.30),
    "blue": (0.20, 0.35, 0.85),
    "purple": (0.58, 0.25, 0.75),
}


def smoothstep(low: float, high: float, values: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, a cubic between them."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return share * share * (3 - 2 * share)


def weight(pixels: np.ndarray, colour: str) -> np.ndarray:
    """How much a pixel is of a hue: near its centre, neither grey nor black."""
    return _weight(_planes(pixels), colour)


def coverage(pixels: np.ndarray) -> dict[str, float]:
    """The share of the picture that is of each hue."""
    planes = _planes(pixels)
    return {colour: float(_weight(planes, colour).mean()) for colour in HUES}


def _planes(pixels: np.ndarray) -> Planes:
    return cv2.split(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV))


def _weight(planes: Planes, colour: str) -> np.ndarray:
    hue, saturation, value = planes
    centre, width = BANDS[colour]
    distance = np.abs((hue - centre + 180) % 360 - 180)
    near = 1 - smoothstep(width, width + HUE_EDGE, distance)
    return near * smoothstep(0.22, 0.38, saturation) * smoothstep(0.12, 0.22, value)


def rehued(pixels: np.ndarray, colour: str) -> np.ndarray:
    """All pixels in one hue, with their own saturation (at least a third) and luma."""
    hsv = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = BANDS[colour][0]
    hsv[..., 1] = np.maximum(hsv[..., 1], 0.35)
    new = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)
    # half way to the old luma: a yellow that is as dark as the blue before it is no yellow
    gain = ((luma(pixels) + 0.02) / (luma(new) + 0.02)) ** 0.5
    return np.clip(new * gain[..., None], 0, 1)


def tinted(pixels: np.ndarray, colour: str, share: float) -> np.ndarray:
    """A blend with the picture printed in one colour, whose luma is the picture's."""
    ink = np.array(TINTS[colour], np.float32)
    grey = luma(pixels)[..., None]
    level = float(luma(ink))
    dark = grey * ink / level
    light = 1 - (1 - grey) * (1 - ink) / (1 - level)
    printed = np.where(grey < level, dark, light)
    return pixels + share * (printed - pixels)

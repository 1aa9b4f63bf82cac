"""The names of colours in instructions, and what they look like."""

from __future__ import annotations

import numpy as np

from retouch.imaging.lab import lab_of

# the basic colour terms of English (Berlin and Kay 1969), each with a colour near its middle, sRGB
COLOURS = {
    "red": (220, 40, 40),
    "orange": (245, 140, 30),
    "yellow": (240, 215, 50),
    "green": (40, 170, 70),
    "blue": (50, 80, 220),
    "purple": (150, 60, 190),
    "pink": (240, 140, 190),
    "brown": (120, 75, 40),
    "white": (245, 245, 245),
    "grey": (128, 128, 128),
    "black": (25, 25, 25),
}
SPELLINGS = {"gray": "grey", "violet": "purple"}


def colour_in(text: str) -> str | None:
    """The first colour that a text names; None where it names none."""
    names = (SPELLINGS.get(word, word) for word in text.lower().split())
    return next((word for word in names if word in COLOURS), None)


def lab_of_name(colour: str) -> np.ndarray:
    """L*a*b* float64 [3] of a name in COLOURS."""
    return lab_of(np.array(COLOURS[colour], np.uint8))

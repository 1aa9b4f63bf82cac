"""The boxes of the places that instructions name."""

from training.operation import WHOLE, Box
from training.vocabulary import CORNERS, HALVES

# the ellipse of the center in shares of the half sides: whole within the first, none past the last
CENTER = 0.50, 0.75


def box(where: str) -> Box:
    """The box of a place that lies in one part of the picture, otherwise the whole."""
    if where in HALVES or where in CORNERS:
        return (
            0.5 if "right" in where else 0.0,
            0.5 if "bottom" in where else 0.0,
            0.5 if "left" in where else 1.0,
            0.5 if "top" in where else 1.0,
        )
    if where == "center":
        low = (1 - CENTER[1]) / 2
        return low, low, 1 - low, 1 - low
    return WHOLE

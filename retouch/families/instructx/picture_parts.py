"""The parts of a picture that an instruction may name instead of an object."""

from __future__ import annotations

Box = tuple[float, float, float, float]

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
CENTER = 0.75  # side of the center's box, as a share of the picture's
# parts that lie in one box, as x0, y0, x1, y1 in shares of width and height
BOXES: dict[str, Box] = {
    "left half": (0.0, 0.0, 0.5, 1.0),
    "right half": (0.5, 0.0, 1.0, 1.0),
    "top half": (0.0, 0.0, 1.0, 0.5),
    "bottom half": (0.0, 0.5, 1.0, 1.0),
    "top left corner": (0.0, 0.0, 0.5, 0.5),
    "top right corner": (0.5, 0.0, 1.0, 0.5),
    "bottom left corner": (0.0, 0.5, 0.5, 1.0),
    "bottom right corner": (0.5, 0.5, 1.0, 1.0),
    "center": ((1 - CENTER) / 2, (1 - CENTER) / 2, (1 + CENTER) / 2, (1 + CENTER) / 2),
}
# parts whose cells depend on the picture's content, or lie around its center
SCATTERED = ("edges", "dark parts", "bright parts", "colour parts", "other colours")


def box_of(part: str) -> Box:
    """The box of a part that lies in one, otherwise the whole picture."""
    return BOXES.get(part, WHOLE)

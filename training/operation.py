"""What one clause of an instruction asks for."""

from dataclasses import dataclass

from retouch.families.instructx.picture_parts import Box
from training.vocabulary import NONE


@dataclass(frozen=True)
class Item:
    """One object of a picture. `box` is x0, y0, x1, y1 in shares of width and height.

    Cut-outs and marks have no colour word."""

    kind: str
    box: Box
    colour: str = NONE
    size: str = NONE


@dataclass(frozen=True)
class Operation:
    """`target` is the object before the operation, `result` the object after it.

    `colour` is a new background, a tint, or the new colour of parts. `where` limits an operation of
    a photograph to a part of it; `where_colour` is the colour of "colour parts" and "other
    colours". `present` is false when the picture has no such target."""

    op: str
    target: Item | None = None
    result: Item | None = None
    colour: str = NONE
    place: str = NONE
    amount: str = NONE
    where: str = NONE
    where_colour: str = NONE
    present: bool = True

"""Whether an edit has done what was asked, by what a parser finds in source and answer.

The caller reads both pictures and fills in the items: which kinds, in which colours, where. Nothing
here looks at pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from retouch.api.response import Operation
from retouch.quality.metrics.colour_names import colour_in

Box = tuple[float, float, float, float]

SAME_PLACE = 0.3  # intersection over union, from which on two boxes are of one place
LEAST_MOVE = 0.05  # of the picture's sides
LEAST_GROWTH = 1.08  # of the longer side
ROWS = ("top", "", "bottom")
COLUMNS = ("left", "", "right")
SIZES = ("small", "medium", "large")


@dataclass(frozen=True)
class Item:
    """One thing that a parser finds in one picture. `kind` such as "circle" and `colour` such as
    "red" are as in operations, "" where it does not say. `box` is (x0, y0, x1, y1) from 0 to 1, x0
    below x1 and y0 below y1."""

    kind: str
    colour: str
    box: Box


Items = Sequence[Item]


@dataclass(frozen=True)
class Followed:
    """What an operation asked for and the answer shows; None where it did not ask for it.

    - `gone`: the target is no more in its place
    - `present`: what is to be there is there
    - `coloured`: the thing in the target's place has the colour asked
    - `moved`: the target is at another place, and at the one asked if one is named
    - `resized`: the target has become larger or smaller, as asked"""

    gone: bool | None = None
    present: bool | None = None
    coloured: bool | None = None
    moved: bool | None = None
    resized: bool | None = None

    @property
    def followed(self) -> bool:
        """Whether all is done that was asked for."""
        asked = (self.gone, self.present, self.coloured, self.moved, self.resized)
        return all(done is not False for done in asked)


def follow(operation: Operation, source: Items, answer: Items) -> Followed | None:
    """What `answer` shows of one operation, by the items in both pictures. None for operations that
    are not of one object, and where the target is not among the source's items."""
    if operation.op == "add":
        return Followed(present=_is_added(operation.value, source, answer))
    judge = _JUDGES.get(operation.op)
    target = find(operation.target, source, operation.box)
    if judge is None or target is None:
        return None
    others = [item for item in source if item is not target]
    return judge(operation, target, others, answer)


def find(text: str, items: Items, box: Box | None = None) -> Item | None:
    """The item that `text` names, such as "red circle"; of several the one that overlaps `box`
    most. None where no item fits."""
    named = [item for item in items if is_named(text, item)]
    return max(named, key=lambda item: overlap(item.box, box) if box else 0.0, default=None)


def is_named(text: str, item: Item) -> bool:
    """Whether `text` names the item's kind, and its colour where it names one."""
    colour = colour_in(text)
    padded = f" {text.lower()} "
    return f" {item.kind.lower()} " in padded and colour in (None, item.colour)


def overlap(first: Box, second: Box) -> float:
    """Intersection over union of two boxes, 0 to 1."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (_area(first) + _area(second) - shared)


def _removed(operation: Operation, target: Item, others: Items, answer: Items) -> Followed:
    return Followed(gone=_is_gone(operation, target, answer))


def _replaced(operation: Operation, target: Item, others: Items, answer: Items) -> Followed:
    here = _in_place(target, answer)
    return Followed(
        gone=_is_gone(operation, target, answer),
        present=any(is_named(operation.value, item) for item in here),
    )


def _recoloured(
    operation: Operation, target: Item, others: Items, answer: Items
) -> Followed | None:
    colour = colour_in(operation.value)
    if colour is None:
        return None
    here = [item for item in _in_place(target, answer) if item.kind == target.kind]
    return Followed(present=bool(here), coloured=any(item.colour == colour for item in here))


def _moved(operation: Operation, target: Item, others: Items, answer: Items) -> Followed:
    """Items of the same name that were elsewhere before do not count."""
    same = [item for item in _like(target, answer) if not _in_place(item, _like(target, others))]
    place = _place_in(operation.value)
    there = [
        item
        for item in same
        if _distance(item, target) >= LEAST_MOVE and place in (None, place_of(item.box))
    ]
    left = [item for item in _in_place(target, same) if item not in there]
    return Followed(gone=not left, present=bool(same), moved=bool(there))


def _resized(operation: Operation, target: Item, others: Items, answer: Items) -> Followed | None:
    size = next((word for word in operation.value.split() if word in SIZES), None)
    if size is None:
        return None
    item = min(_like(target, answer), key=lambda one: _distance(one, target), default=None)
    if item is None:
        return Followed(present=False, resized=False)
    growth = _extent(item.box) / _extent(target.box)
    done = {
        "large": growth >= LEAST_GROWTH,
        "small": growth <= 1 / LEAST_GROWTH,
        "medium": max(growth, 1 / growth) >= LEAST_GROWTH,
    }
    return Followed(present=True, resized=done[size])


_JUDGES = {
    "remove": _removed,
    "replace": _replaced,
    "recolour": _recoloured,
    "move": _moved,
    "resize": _resized,
}


def place_of(box: Box) -> str:
    """The ninth of the picture with the box's centre, such as "top left"; "center" in the
    middle."""
    x, y = _centre(box)
    row, column = (min(2, max(0, int(share * 3))) for share in (y, x))
    return " ".join(filter(None, (ROWS[row], COLUMNS[column]))) or "center"


def _is_added(value: str, source: Items, answer: Items) -> bool:
    """Whether there is one more of it in the answer, where a place is named there."""
    place = _place_in(value)
    before, after = (
        sum(is_named(value, item) and place in (None, place_of(item.box)) for item in items)
        for items in (source, answer)
    )
    return after > before


def _is_gone(operation: Operation, target: Item, answer: Items) -> bool:
    return not any(is_named(operation.target, item) for item in _in_place(target, answer))


def _like(target: Item, items: Items) -> list[Item]:
    """Those of the target's kind and colour."""
    return [item for item in items if (item.kind, item.colour) == (target.kind, target.colour)]


def _in_place(target: Item, answer: Items) -> list[Item]:
    """Those that are where the target is."""
    return [item for item in answer if overlap(item.box, target.box) >= SAME_PLACE]


def _place_in(text: str) -> str | None:
    """The ninth of the picture that a text ends with; None where it names none."""
    parts = [word for word in text.split() if word in (*ROWS, *COLUMNS, "center")]
    return " ".join(parts) or None


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _centre(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _distance(first: Item, second: Item) -> float:
    """Of the centres, along the side of the picture on which it is larger."""
    pairs = zip(_centre(first.box), _centre(second.box))
    return max(abs(one - other) for one, other in pairs)


def _extent(box: Box) -> float:
    return max(box[2] - box[0], box[3] - box[1])

"""Labels of an example for the parser: fields and boxes of its operations, and the cells that
change."""

from collections.abc import Sequence

import numpy as np

from retouch.api.geometry import CELL
from retouch.families.instructx.parser_output import ORDER
from retouch.families.instructx.picture_parts import box_of
from training.example import Example, changed
from training.kinds import names
from training.operation import Item, Operation
from training.vocabulary import (
    AMOUNTS,
    COLOURS,
    IDLE_OPS,
    KINDS,
    MARKS,
    NONE,
    OPS,
    PLACES,
    SIZES,
    WHERES,
)

SLOTS = 2  # operations in one sentence
ALL_KINDS = (*KINDS, *MARKS, *names())
_FIELDS = {  # every field has a leading "none"
    "op": (NONE, *OPS),
    "target_colour": (NONE, *COLOURS),
    "target_kind": (NONE, *ALL_KINDS),
    "target_size": (NONE, *SIZES),
    "value_colour": (NONE, *COLOURS),
    "value_kind": (NONE, *ALL_KINDS),
    "value_size": (NONE, *SIZES),
    "value_place": (NONE, *PLACES),
    "amount": (NONE, *AMOUNTS),
    "where": (NONE, *WHERES),
}
FIELDS = {name: _FIELDS[name] for name in ORDER}  # the order of the logits
HEAD_FIELDS = {name: list(values) for name, values in FIELDS.items()}  # as the heads take them


def fields(operations: Sequence[Operation]) -> np.ndarray:
    """Index of every field of every slot, int64 [SLOTS, len(FIELDS)]."""
    out = np.zeros((SLOTS, len(FIELDS)), np.int64)
    for slot, operation in enumerate(operations):
        values = _values(operation)
        out[slot] = [FIELDS[name].index(values.get(name, NONE)) for name in FIELDS]
    return out


def boxes(operations: Sequence[Operation]) -> np.ndarray:
    """Target and value boxes, float32 [SLOTS, 2, 4] as x0, y0, x1, y1 in shares; zeros for no
    box."""
    out = np.zeros((SLOTS, 2, 4), np.float32)
    for slot, operation in enumerate(operations):
        if operation.op in IDLE_OPS or not operation.present:
            continue
        items = operation.target, operation.result
        if items == (None, None):
            out[slot] = box_of(operation.where)
        for column, item in enumerate(items):
            if item:
                out[slot, column] = item.box
    return out


def presence(operations: Sequence[Operation]) -> np.ndarray:
    """Whether the target of a slot is in the picture, float32 [SLOTS]: 1, 0, or −1 in a slot
    without an edit. What needs no target has it."""
    out = np.full(SLOTS, -1, np.float32)
    for slot, operation in enumerate(operations):
        if operation.op not in IDLE_OPS:
            out[slot] = operation.present
    return out


def changed_cells(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Whether the edit changes any pixel of a cell visibly: bool [H/16 × W/16], row-major. Both
    pictures are uint8 [H, W, 3]."""
    differs = changed(source, target)
    height, width = differs.shape
    return differs.reshape(height // CELL, CELL, width // CELL, CELL).any((1, 3)).reshape(-1)


def contents(owners: np.ndarray, items: Sequence[Item]) -> np.ndarray:
    """Colour and kind of the item that covers most of each cell: int64 [N, 2], counted from 1; 0
    for none. `owners` uint8 [H, W] are the numbers of items, counted from 1."""
    height, width = owners.shape
    labels = np.array([(0, 0), *(_number(item) for item in items)])
    if not items:
        return np.zeros((height * width // CELL**2, 2), np.int64)
    cells = owners.reshape(height // CELL, CELL, width // CELL, CELL)
    cover = np.stack(
        [(cells == number).sum((1, 3)).reshape(-1) for number in range(1, len(items) + 1)]
    )
    return labels[np.where(cover.max(0) > 0, cover.argmax(0) + 1, 0)]


def label(example: Example) -> tuple[np.ndarray, ...]:
    """Fields, boxes, changed cells, contents and presence of one example. Only an edit that is made
    has cells that change."""
    return (
        fields(example.operations),
        boxes(example.operations),
        changed_cells(example.source, example.target),
        example.contents,
        presence(example.operations),
    )


def _number(item: Item) -> tuple[int, int]:
    return FIELDS["value_colour"].index(item.colour), FIELDS["value_kind"].index(item.kind)


def _values(operation: Operation) -> dict[str, str]:
    values = {
        "op": operation.op,
        "value_colour": operation.colour,
        "value_place": operation.place,
        "amount": operation.amount,
        "where": operation.where,
        "target_colour": operation.where_colour,
    }
    for side, item in (("target", operation.target), ("value", operation.result)):
        if item:
            values |= {
                f"{side}_colour": item.colour,
                f"{side}_kind": item.kind,
                f"{side}_size": item.size,
            }
    return values

"""The parser's logits as text: operations, and the cells that change."""

from __future__ import annotations

import numpy as np

from retouch.api.response import NOTHING, Operation
from retouch.families.instructx.picture_parts import SCATTERED, WHOLE, box_of

Fields = dict[str, list[str]]  # a field's values by its name, "none" first

NONE = "none"
UNKNOWN = "unknown"  # the op of a sentence that the checkpoint cannot follow
WITHOUT_BOXES = (NONE, NOTHING, UNKNOWN)  # ops
# the heads' logits come in this order; a checkpoint's file has the fields' names sorted
ORDER = (
    "op",
    "target_colour",
    "target_kind",
    "target_size",
    "value_colour",
    "value_kind",
    "value_size",
    "value_place",
    "amount",
    "where",
)
MARGIN = 0.02  # around a box, as a share of the image: the parser's error
# the fields of a value that describe what an operation does; the others repeat the target's
SAYS = {
    "recolour": ("colour",),
    "remove": (),
    "replace": ("colour", "kind"),
    "add": ("size", "colour", "kind", "place"),
    "move": ("place",),
    "resize": ("size",),
    "background": ("colour",),
}
TARGET = ("colour", "kind")
VALUE = ("size", "colour", "kind", "place")
WHERE = "where"  # the field of a target that is a part of the picture
SIDES = ("target", "value")
UNSAID = ("op", "target_size")  # fields that no text of an operation repeats
ROWS = ("top", "", "bottom")
COLUMNS = ("left", "", "right")
# the longer side of a shape's box, as a share: a third of its radius in sixths of the shorter side
# of the image
EXTENTS = {"small": 0.60 / 3, "medium": 0.74 / 3, "large": 0.88 / 3}


def operations(labels: np.ndarray, boxes: np.ndarray, fields: Fields) -> list[Operation]:
    """Operations of the slots that hold one, in the instruction's order, as `slot_operations`."""
    every = slot_operations(labels, boxes, fields)
    return [operation for operation in every if operation.op != NONE]


def slot_operations(labels: np.ndarray, boxes: np.ndarray, fields: Fields) -> list[Operation]:
    """An operation for every slot, with the op "none" where it holds none.

    `labels` [S, K] are the logits of all fields, in ORDER. `boxes` [S, 2, 4] are the target's and
    the value's. `fields` maps a field (`op`, `target_…`, `value_…`, `amount`, `where`) to its
    values, "none" first. Fields of other names describe the value, unless they begin with
    `target_`.
    Place and size come from the value box that the transformer takes (`places`), not from the
    labels: the box decides what is drawn. They are left out without a box, and where the checkpoint
    has no such value."""
    result = []
    for row, (target_box, value_box) in zip(labels, places(labels, boxes, fields)):
        values_by_field = likeliest(row, fields)
        measured = {"value_place": place_of(value_box), "value_size": size_of(value_box)}
        values_by_field |= {
            name: word if word in fields.get(name, ()) else NONE for name, word in measured.items()
        }
        op = values_by_field["op"]
        target = _join(values_by_field, _target_names(fields))
        value = _join(values_by_field, _value_names(fields, op))
        box = target_box if target or op == "background" else value_box
        result.append(Operation(op, target, value, upright(box) if box.any() else None))
    return result


def places(labels: np.ndarray, boxes: np.ndarray, fields: Fields) -> np.ndarray:
    """The boxes [S, 2, 4] of operations, and zeros for all others, as in the transformer's
    training.

    A target has a box before the edit, a value one after it. A new background has the whole image
    for both. What needs no object has the box of the part that it is limited to."""
    out = np.zeros_like(boxes)
    for slot, row in enumerate(labels):
        values_by_field = likeliest(row, fields)
        if values_by_field["op"] in WITHOUT_BOXES:
            continue
        if values_by_field["op"] == "background":
            out[slot] = WHOLE
            continue
        for column, side in enumerate(SIDES):
            if _has_object(values_by_field, side):
                out[slot, column] = boxes[slot, column]
        if WHERE in fields and not out[slot].any():
            out[slot, 0] = box_of(values_by_field[WHERE])
    return out


def region(
    logits: np.ndarray,
    threshold: float,
    labels: np.ndarray,
    boxes: np.ndarray,
    fields: Fields,
    seen: tuple[int, int],
    grid: tuple[int, int],
) -> np.ndarray:
    """The region: cells of `grid` (rows, columns) that may change, bool [N].

    These are the cells under parser tokens that change with a probability above `threshold`, and
    the cells that an operation's box touches. `logits` [V] are of the tokens of the grid `seen`
    over the same image. `labels` are as in `slot_operations`, `boxes` [S, 2, 4] those of `places`.
    A cell too many costs little, because unchanged content is drawn as it was. A cell too few cuts
    a piece off the result.

    Two rules of parts of the picture: one that lies in a box needs no tokens, and the box of a
    scattered one, which is the whole picture, does not count."""
    slots = [likeliest(row, fields) for row in labels]
    counted = [box for slot, box in zip(slots, boxes) if slot.get(WHERE) not in SCATTERED]
    touched = _touched(np.reshape(counted, (-1, 4)), grid)
    acting = [slot for slot in slots if slot["op"] not in WITHOUT_BOXES]
    if acting and all(_lies_in_a_box(slot) for slot in acting):
        return touched
    changing = (logits > np.log(threshold / (1 - threshold))).reshape(seen)
    return _covered(changing, grid).ravel() | touched


def _has_object(values_by_field: dict[str, str], side: str) -> bool:
    return values_by_field.get(f"{side}_kind", NONE) != NONE


def _lies_in_a_box(values_by_field: dict[str, str]) -> bool:
    """Whether an operation changes no object, and all of a part that lies in one box."""
    is_part = WHERE in values_by_field and values_by_field[WHERE] not in SCATTERED
    return is_part and not any(_has_object(values_by_field, side) for side in SIDES)


def _covered(tokens: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Cells of `grid` that overlap a token of `tokens`, both bool [rows, columns]."""
    for axis, (count, cells) in enumerate(zip(tokens.shape, grid)):
        cell = np.arange(cells)
        first = cell * count // cells
        last = -(-(cell + 1) * count // cells)  # in integers: shares may round over an edge
        before = np.insert(tokens.cumsum(axis), 0, 0, axis)
        tokens = before.take(last, axis) > before.take(first, axis)
    return tokens


def _touched(boxes: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    edges = [np.arange(count + 1) / count for count in grid]
    cells = np.zeros(grid, bool)
    for x0, y0, x1, y1 in boxes:
        if x1 > x0 and y1 > y0:
            rows, columns = (
                (side[1:] > low - MARGIN) & (side[:-1] < high + MARGIN)
                for side, low, high in zip(edges, (y0, x0), (y1, x1))
            )
            cells |= rows[:, None] & columns
    return cells.ravel()


def place_of(box: np.ndarray) -> str:
    """The ninth of the image with the centre of a box [4], such as "top left"; "none" for zeros."""
    if not np.any(box):
        return NONE
    column, row = (int(np.clip((box[axis] + box[axis + 2]) / 2 * 3, 0, 2)) for axis in (0, 1))
    return " ".join(filter(None, (ROWS[row], COLUMNS[column]))) or "center"


def size_of(box: np.ndarray) -> str:
    """The size in EXTENTS nearest to the longer side of a box [4]; "none" for zeros."""
    if not np.any(box):
        return NONE
    extent = max(abs(box[2] - box[0]), abs(box[3] - box[1]))
    return min(EXTENTS, key=lambda size: abs(EXTENTS[size] - extent))


def upright(box: np.ndarray) -> tuple[float, float, float, float]:
    """A box with x0 ≤ x1 and y0 ≤ y1, as floats of four digits."""
    x0, x1 = sorted((_rounded(box[0]), _rounded(box[2])))
    y0, y1 = sorted((_rounded(box[1]), _rounded(box[3])))
    return x0, y0, x1, y1


def _rounded(side: float) -> float:
    return round(float(side), 4)


def ordered(fields: Fields) -> Fields:
    """The fields in the order of their logits; those of other names last, by name."""
    names = [name for name in ORDER if name in fields] + sorted(set(fields) - set(ORDER))
    return {name: fields[name] for name in names}


def split(row: np.ndarray, fields: Fields) -> dict[str, np.ndarray]:
    """The logits of every field; `row` [K] is one slot's, in ORDER."""
    fields = ordered(fields)
    ends = np.cumsum([len(values) for values in fields.values()])
    return dict(zip(fields, np.split(row, ends[:-1])))


def likeliest(row: np.ndarray, fields: Fields) -> dict[str, str]:
    """The value with the largest logit of every field; `row` [K] is one slot's, in ORDER."""
    return {
        name: fields[name][int(field_logits.argmax())]
        for name, field_logits in split(row, fields).items()
    }


def _target_names(fields: Fields) -> list[str]:
    """The fields of a target's text, in its order."""
    first = [f"target_{name}" for name in TARGET]
    others = [name for name in ordered(fields) if name.startswith("target_")]
    return _without([*first, *others, WHERE], UNSAID)


def _value_names(fields: Fields, op: str) -> list[str]:
    """The fields of a value's text, in its order."""
    others = [name for name in ordered(fields) if not name.startswith(("target_", "value_"))]
    first = [f"value_{name}" for name in SAYS.get(op, VALUE)]
    more = [name for name in ordered(fields) if name.startswith("value_") and op not in SAYS]
    return _without([*others, *first, *more], (*UNSAID, WHERE))


def _without(names: list[str], left_out: tuple[str, ...]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name not in left_out]


def _join(values_by_field: dict[str, str], names: list[str]) -> str:
    parts = (values_by_field.get(name, NONE) for name in names)
    return " ".join(part for part in parts if part != NONE)

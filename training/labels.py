"""Labels of a pair for the parser: operation fields, boxes, and the cells that change."""

from dataclasses import dataclass

import numpy as np

from retouch.api.geometry import CELL
from retouch.families.instructx.parser_output import ORDER
from training.render import COLOURS, KINDS, PLACES, SIZES, Drawing, Scene, render
from training.scenes import OPS, Edit, Pair

SLOTS = 2  # operations in one sentence
_FIELDS = {  # every field has a leading "none"
    "op": ("none", *OPS),
    "target_colour": ("none", *COLOURS),
    "target_kind": ("none", *KINDS),
    "target_size": ("none", *SIZES),
    "value_colour": ("none", *COLOURS),
    "value_kind": ("none", *KINDS),
    "value_size": ("none", *SIZES),
    "value_place": ("none", *PLACES),
}
FIELDS = {name: _FIELDS[name] for name in ORDER if name in _FIELDS}  # the order of the logits


@dataclass(frozen=True)
class DrawnPair:
    """A pair and the drawings of its two scenes."""

    pair: Pair
    source: Drawing
    target: Drawing

    @classmethod
    def of(cls, pair: Pair) -> "DrawnPair":
        return cls(pair, render(pair.source), render(pair.target))


def fields(pair: Pair) -> np.ndarray:
    """Index of every field of every slot, int64 [SLOTS, len(FIELDS)]."""
    rows = [_values(edit) for edit in pair.edits] + [{}] * (SLOTS - len(pair.edits))
    return np.array(
        [[FIELDS[name].index(row.get(name, "none")) for name in FIELDS] for row in rows]
    )


def boxes(pair: Pair) -> np.ndarray:
    """Target and value boxes, float32 [SLOTS, 2, 4] as x0, y0, x1, y1 in shares; zeros for no
    box."""
    out = np.zeros((SLOTS, 2, 4), np.float32)
    for slot, edit in enumerate(pair.edits):
        if edit.op == "background":
            out[slot] = (0, 0, 1, 1)
        for column, shape in enumerate((edit.target, edit.result)):
            if shape:
                out[slot, column] = pair.source.box(shape)
    return out


def changed_cells(source: Drawing, target: Drawing) -> np.ndarray:
    """Whether the edit changes any pixel of a cell: bool [H/16 × W/16], row-major."""
    differs = (source.pixels != target.pixels).any(-1)
    height, width = differs.shape
    return differs.reshape(height // CELL, CELL, width // CELL, CELL).any((1, 3)).reshape(-1)


def contents(scene: Scene, drawing: Drawing) -> np.ndarray:
    """Colour and kind of the shape that covers most of each cell: int64 [N, 2], counted from 1; 0
    for none."""
    height, width = drawing.owners.shape
    cells = drawing.owners.reshape(height // CELL, CELL, width // CELL, CELL)
    cover = np.stack(
        [(cells == number).sum((1, 3)).reshape(-1) for number in range(1, len(scene.shapes) + 1)]
    )
    labels = np.array(
        [(0, 0), *((1 + COLOURS.index(s.colour), 1 + KINDS.index(s.kind)) for s in scene.shapes)]
    )
    return labels[np.where(cover.max(0) > 0, cover.argmax(0) + 1, 0)]


def _values(edit: Edit) -> dict[str, str]:
    values = {"op": edit.op}
    if edit.target:
        values |= {
            "target_colour": edit.target.colour,
            "target_kind": edit.target.kind,
            "target_size": edit.target.size,
        }
    if edit.result:
        values |= {
            "value_colour": edit.result.colour,
            "value_kind": edit.result.kind,
            "value_size": edit.result.size,
        }
    if edit.background:
        values["value_colour"] = edit.background
    if edit.place:
        values["value_place"] = edit.place
    return values

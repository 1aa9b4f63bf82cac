"""Random operations without a picture: every item has the attributes that the sentence says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from retouch.families.instructx.picture_parts import WHOLE
from training.grammar.choices import pick
from training.grammar.nouns import Kinds
from training.operation import Item, Operation
from training.vocabulary import (
    AMOUNTS,
    COLOURS,
    DETAIL_OPS,
    GRADED,
    HUES,
    KINDS,
    MARKS,
    NONE,
    PLACES,
    SIZES,
    TONE_OPS,
    WHERES,
)

_OBJECTS = ("recolour", "remove", "remove", "replace", "add", "add", "move", "resize")
_UNPLACED = ("vignette", "dusk")  # operations of the whole picture alone
_COLOUR_WHERES = ("colour parts", "other colours")
# tones that people ask for most
_TONES = (*TONE_OPS, "brighter", "darker", "contrast", "warmer", "cooler", "saturate", "grey")


@dataclass(frozen=True)
class Drawn:
    """Operations and the items of their picture."""

    operations: tuple[Operation, ...]
    items: tuple[Item, ...]


def draw_operation(rng: Random, kinds: Kinds, op: str | None = None) -> Drawn:
    """One random operation. `op` is an operation's name or "parts" for a recolouring of parts."""
    if op is None:
        op = _draw_op(rng)
    if op == "parts":
        return Drawn((_parts(rng),), ())
    if op == "background":
        return Drawn((Operation(op, colour=pick(rng, COLOURS)),), ())
    if op in _OBJECTS:
        return _object(rng, kinds, op)
    return Drawn((_photo(rng, op),), ())


def draw_pair(rng: Random, kinds: Kinds) -> Drawn:
    """Two random operations that differ in their names and in their targets."""
    first = draw_operation(rng, kinds)
    while True:
        second = draw_operation(rng, kinds)
        if first.operations[0].op != second.operations[0].op and _differ(first, second):
            return Drawn(first.operations + second.operations, first.items + second.items)


def _draw_op(rng: Random) -> str:
    draw = rng.random()
    if draw < 0.5:
        return pick(rng, _TONES)
    if draw < 0.6:
        return pick(rng, DETAIL_OPS)
    if draw < 0.65:
        return "parts"
    return "background" if draw < 0.68 else pick(rng, _OBJECTS)


def _differ(first: Drawn, second: Drawn) -> bool:
    kinds = {item.kind for item in first.items}
    return not any(item.kind in kinds for item in second.items)


def _photo(rng: Random, op: str) -> Operation:
    """A tone or a detail, with a place in a third and an amount in half of the draws."""
    amount = pick(rng, AMOUNTS) if op in GRADED and rng.random() < 0.5 else NONE
    where = pick(rng, WHERES) if op not in _UNPLACED and rng.random() < 0.35 else NONE
    if op == "grey" and rng.random() < 0.12:
        where = "other colours"
    hue = pick(rng, HUES) if where in _COLOUR_WHERES else NONE
    colour = pick(rng, [colour for colour in HUES if colour != hue]) if op == "tint" else NONE
    return Operation(op, colour=colour, amount=amount, where=where, where_colour=hue)


def _parts(rng: Random) -> Operation:
    hue, colour = rng.sample(HUES, 2)
    return Operation("recolour", colour=colour, where="colour parts", where_colour=hue)


def _object(rng: Random, kinds: Kinds, op: str) -> Drawn:
    if op == "add":
        result = _new(rng, kinds)
        return Drawn((Operation(op, result=result, place=pick(rng, (*PLACES, NONE))),), ())
    target = _target(rng, kinds, marks=op in ("remove", "move"))
    operation = Operation(op, target=target)
    if op == "recolour":
        colour = pick(rng, [colour for colour in COLOURS if colour != target.colour])
        operation = replace(operation, result=replace(target, colour=colour))
    elif op == "replace":
        others = [kind for kind in (*KINDS, *kinds) if kind != target.kind]
        operation = replace(operation, result=_successor(rng, target, pick(rng, others)))
    elif op == "move":
        operation = replace(operation, result=target, place=pick(rng, PLACES))
    elif op == "resize":
        sizes = [size for size in SIZES if size != target.size]
        operation = replace(operation, result=replace(target, size=pick(rng, sizes)))
    return Drawn((operation,), (target,))


def _target(rng: Random, kinds: Kinds, marks: bool) -> Item:
    """An item with the attributes that a sentence says of it."""
    draw = rng.random()
    if marks and draw < 0.25:
        return Item(pick(rng, MARKS), WHOLE)
    if kinds and draw < 0.6:
        return Item(pick(rng, list(kinds)), WHOLE)
    size = pick(rng, SIZES) if rng.random() < 0.15 else NONE
    colour = pick(rng, COLOURS) if rng.random() < 0.8 else NONE
    kind = NONE if colour != NONE and rng.random() < 0.1 else pick(rng, KINDS)
    return Item(kind, WHOLE, colour, size)


def _successor(rng: Random, target: Item, kind: str) -> Item:
    """What an item is replaced by: a shape keeps a shape's colour, a cut-out has none."""
    if kind not in KINDS:
        return Item(kind, WHOLE)
    was_drawn = target.kind in (*KINDS, NONE)
    return Item(kind, WHOLE, target.colour if was_drawn else pick(rng, COLOURS))


def _new(rng: Random, kinds: Kinds) -> Item:
    size = pick(rng, SIZES) if rng.random() < 0.5 else NONE
    if kinds and rng.random() < 0.6:
        return Item(pick(rng, list(kinds)), WHOLE, size=size)
    return Item(pick(rng, KINDS), WHOLE, pick(rng, COLOURS), size)

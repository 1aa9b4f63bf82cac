"""Training pairs: a scene, an instruction, its operations, and the exact resulting scene."""

import random
from dataclasses import dataclass, replace

from training import wording
from training.operation import Item, Operation
from training.render import COLOURS, KINDS, PLACES, SHADINGS, SIZES, Scene, Shape
from training.vocabulary import NONE

BUCKETS = ((128, 128), (96, 160), (160, 96))
OPS = ("recolour", "remove", "replace", "add", "move", "resize", "background")
EDIT_KINDS = (*OPS, "two operations")
# drawn more often: outlines take long to learn
HARD = ("replace", "resize", "two operations", "two operations")
JITTER = 0.12  # largest distance of a shape from its place, in units
HELD_OUT = 500  # scenes of the evaluation


@dataclass(frozen=True)
class Edit:
    """One operation. `target` is the shape before it, `result` the shape after it; None if there is
    no such shape."""

    op: str
    target: Shape | None
    result: Shape | None
    background: str | None = None
    place: str | None = None


@dataclass(frozen=True)
class Pair:
    source: Scene
    target: Scene
    instruction: str
    edits: tuple[Edit, ...]

    @property
    def kind(self) -> str:
        """The row of this pair in the evaluation table."""
        return self.edits[0].op if len(self.edits) == 1 else "two operations"

    @property
    def items(self) -> tuple[Item, ...]:
        """The shapes of the source, in its order."""
        return tuple(_item(self.source, shape) for shape in self.source.shapes)

    @property
    def operations(self) -> tuple[Operation, ...]:
        """The edits as operations of any world."""
        return tuple(_operation(self.source, edit) for edit in self.edits)


def held_out(count: int = HELD_OUT) -> list[Pair]:
    """The evaluation scenes: all kinds of edits and all buckets in turn, from a seed that training
    never uses."""
    rng = random.Random("held out")
    return [
        draw_pair(rng, BUCKETS[i % len(BUCKETS)], EDIT_KINDS[i % len(EDIT_KINDS)])
        for i in range(count)
    ]


def draw_scene(rng: random.Random, bucket: tuple[int, int]) -> Scene:
    """One to four shapes at distinct places; no two share colour and kind, none has the
    background's colour."""
    scene = Scene(*bucket, rng.choice(COLOURS), rng.choice(SHADINGS + ("plain",) * 2))
    shapes = []
    for place in rng.sample(PLACES, rng.randint(1, 4)):
        taken = {shape.name for shape in shapes}
        free = [
            (c, k)
            for c in COLOURS
            if c != scene.background
            for k in KINDS
            if f"{c} {k}" not in taken
        ]
        colour, kind = rng.choice(free)
        x, y = scene.anchor(place)
        spread = JITTER * scene.unit
        shapes.append(
            Shape(
                colour,
                kind,
                rng.choice(SIZES),
                round(x + rng.uniform(-spread, spread), 2),
                round(y + rng.uniform(-spread, spread), 2),
            )
        )
    return replace(scene, shapes=tuple(shapes))


def draw_pair(
    rng: random.Random, bucket: tuple[int, int] | None = None, op: str | None = None
) -> Pair:
    """A random pair. `op` is one of OPS or "two operations"; None draws it."""
    while True:
        pair = edit_scene(rng, draw_scene(rng, bucket or rng.choice(BUCKETS)), op or draw_op(rng))
        if pair:
            return pair


def draw_op(rng: random.Random) -> str:
    return rng.choice(OPS + HARD)


def edit_scene(rng: random.Random, source: Scene, op: str) -> Pair | None:
    """A pair from `source`; None when the scene allows no such edit."""
    ops = rng.sample(OPS, 2) if op == "two operations" else [op]
    scene = source
    edits = []
    for name in ops:
        used = {shape for edit in edits for shape in (edit.target, edit.result)}
        edit = _draw_edit(rng, name, scene, source, [s for s in scene.shapes if s not in used])
        if edit is None:
            return None
        scene = _apply(scene, edit)
        edits = [*edits, edit]
    return Pair(source, scene, wording.sentence(rng, source, edits), tuple(edits))


def _draw_edit(rng, op: str, scene: Scene, source: Scene, free: list[Shape]) -> Edit | None:
    """A random edit; None when the scene allows none."""
    names = {shape.name for shape in scene.shapes + source.shapes}
    if op == "background":
        used = {scene.background} | {s.colour for s in scene.shapes + source.shapes}
        return Edit(op, None, None, background=rng.choice([c for c in COLOURS if c not in used]))
    if op == "add":
        place = _empty_place(rng, scene, source)
        colour, kind = rng.choice(
            [
                (c, k)
                for c in COLOURS
                if c != scene.background
                for k in KINDS
                if f"{c} {k}" not in names
            ]
        )
        return Edit(
            op, None, Shape(colour, kind, rng.choice(SIZES), *scene.anchor(place)), place=place
        )
    if not free:
        return None
    target = rng.choice(free)
    if op == "remove":
        return Edit(op, target, None)
    if op == "move":
        place = _empty_place(rng, scene, source)
        x, y = scene.anchor(place)
        return Edit(op, target, replace(target, x=x, y=y), place=place)
    if op == "resize":
        return Edit(
            op, target, replace(target, size=rng.choice([s for s in SIZES if s != target.size]))
        )
    if op == "recolour":
        choices = [replace(target, colour=c) for c in COLOURS if c != scene.background]
    else:
        choices = [replace(target, kind=k) for k in KINDS]
    choices = [shape for shape in choices if shape.name not in names]
    return Edit(op, target, rng.choice(choices)) if choices else None


def _empty_place(rng, scene: Scene, source: Scene) -> str:
    taken = {scene.place(shape) for shape in scene.shapes + source.shapes}
    return rng.choice([place for place in PLACES if place not in taken])


def _apply(scene: Scene, edit: Edit) -> Scene:
    if edit.op == "background":
        return replace(scene, background=edit.background)
    shapes = [shape for shape in scene.shapes if shape != edit.target]
    return replace(scene, shapes=(*shapes, *([edit.result] if edit.result else [])))


def _item(scene: Scene, shape: Shape) -> Item:
    return Item(shape.kind, scene.box(shape), shape.colour, shape.size)


def _operation(scene: Scene, edit: Edit) -> Operation:
    return Operation(
        edit.op,
        edit.target and _item(scene, edit.target),
        edit.result and _item(scene, edit.result),
        colour=edit.background or NONE,
        place=edit.place or NONE,
    )

"""Operations on objects that are pasted on a photograph."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from training.kinds import names
from training.operation import Item, Operation
from training.photo.layers import Layer, Picture, render
from training.render import COLOURS, KINDS, PLACES, RADIUS, SIZES, anchor, nearest_place
from training.vocabulary import HUES, MARKS, NONE, OBJECT_OPS

CUT_OUT_RADIUS = 0.15, 0.24  # of the shorter side
TRIES = 3  # places for an object, of which the smoothest is taken
JITTER = 0.05  # largest distance from a place's centre, as a share of the shorter side


@dataclass(frozen=True)
class Scene:
    """A photograph uint8 [H, W, 3], its layers, and what it looks like."""

    photo: np.ndarray
    layers: tuple[Layer, ...]
    picture: Picture

    @classmethod
    def of(cls, photo: np.ndarray, layers: Sequence[Layer]) -> "Scene":
        return cls(photo, tuple(layers), render(photo, layers))

    def with_layers(self, layers: Sequence[Layer]) -> "Scene":
        """Of the same photograph."""
        return Scene.of(self.photo, layers)


def draw_scene(rng: random.Random, photo: np.ndarray) -> Scene:
    """One to three objects at distinct places, no two of one name. Smooth ground is preferred,
    because what lies behind an object can be foreseen there."""
    layers: list[Layer] = []
    free = list(PLACES)
    for _ in range(rng.choice((1, 1, 2, 2, 3))):
        kind, colour = _new_name(rng, layers)
        place = min(rng.sample(free, TRIES), key=lambda place: _roughness(photo, place))
        free.remove(place)
        layers.append(_layer(rng, photo.shape, kind, colour, place))
    return Scene.of(photo, layers)


def draw(rng: random.Random, scene: Scene) -> tuple[Operation, Scene]:
    """A random operation and the scene after it."""
    op = rng.choice(OBJECT_OPS + ("remove", "recolour"))
    number = rng.randrange(len(scene.layers))
    if op == "add":
        return _add(rng, scene)
    layer = scene.layers[number]
    drawn = layer.kind in KINDS
    if layer.kind in MARKS or (not drawn and op != "recolour"):
        op = "remove"
    if rng.random() < 0.08:
        return _absent(rng, scene, op), scene
    target = scene.picture.items[number]
    if op == "remove":
        left = scene.layers[:number] + scene.layers[number + 1 :]
        return Operation(op, target), scene.with_layers(left)
    new, place = _changed(rng, op, layer, scene)
    after = scene.with_layers(scene.layers[:number] + (new,) + scene.layers[number + 1 :])
    result = after.picture.items[number]
    if not drawn:  # pictures of cut-outs have no colour word, their new colour has
        result = replace(result, colour=new.colour)
    return Operation(op, target, result, place=place), after


def _changed(rng: random.Random, op: str, layer: Layer, scene: Scene) -> tuple[Layer, str]:
    """The layer after a recolour, replace, move or resize, and the place of a move."""
    others = {(other.colour, other.kind) for other in scene.layers}
    height, width, _ = scene.photo.shape
    if op == "recolour":
        colours = COLOURS if layer.kind in KINDS else HUES
        free = [colour for colour in colours if (colour, layer.kind) not in others]
        return replace(layer, colour=rng.choice(free)), NONE
    if op == "replace":
        free = [kind for kind in KINDS if (layer.colour, kind) not in others]
        return replace(layer, kind=rng.choice(free)), NONE
    if op == "resize":
        size = rng.choice([size for size in SIZES if size != layer.size])
        return replace(layer, size=size, radius=RADIUS[size] * min(height, width) / 6), NONE
    place = rng.choice(_free_places(scene))
    x, y = anchor(place, height, width)
    return replace(layer, x=x, y=y), place


def _add(rng: random.Random, scene: Scene) -> tuple[Operation, Scene]:
    names_taken = {(layer.colour, layer.kind) for layer in scene.layers}
    free = [(c, k) for c in COLOURS for k in KINDS if (c, k) not in names_taken]
    colour, kind = rng.choice(free)
    place = rng.choice(_free_places(scene))
    layer = _layer(rng, scene.photo.shape, kind, colour, place, jitter=0)
    after = scene.with_layers((*scene.layers, layer))
    result = after.picture.items[-1]
    return Operation("add", result=result, place=place), after


def _absent(rng: random.Random, scene: Scene, op: str) -> Operation:
    """An operation on an object that is not in the scene, and not like one that is."""
    there = {layer.kind for layer in scene.layers}
    if op == "remove" and rng.random() < 0.5:
        kind = rng.choice([kind for kind in (*names(), *MARKS) if kind not in there])
        return Operation(op, Item(kind, (0, 0, 0, 0)), present=False)
    shapes = [(layer.colour, layer.kind) for layer in scene.layers]
    colour, kind = rng.choice([(c, k) for c in COLOURS for k in KINDS if (c, k) not in shapes])
    target = Item(kind, (0, 0, 0, 0), colour, NONE)
    result = None
    place = NONE
    if op == "recolour":
        result = replace(target, colour=rng.choice([c for c in COLOURS if c != colour]))
    if op == "replace":
        result = replace(target, kind=rng.choice([k for k in KINDS if k != kind]))
    if op == "move":
        place = rng.choice(PLACES)
        result = target
    if op == "resize":
        result = replace(target, size=rng.choice(SIZES))
    return Operation(op, target, result, place=place, present=False)


def scene_with(rng: random.Random, photo: np.ndarray, items: Sequence[Item]) -> Scene:
    """A photograph with objects as the items say; what an item does not say is drawn."""
    layers = []
    for item, place in zip(items, rng.sample(PLACES, len(items))):
        kind = rng.choice(KINDS) if item.kind == NONE else item.kind
        drawn = kind in KINDS and item.colour == NONE
        colour = rng.choice(COLOURS) if drawn else item.colour
        layers.append(_layer(rng, photo.shape, kind, colour, place))
    return Scene.of(photo, layers)


def _new_name(rng: random.Random, layers: Sequence[Layer]) -> tuple[str, str]:
    """Kind and colour that no layer has: half drawn shapes, a third cut-outs, and marks."""
    taken = {(layer.kind, layer.colour) for layer in layers}
    while True:
        share = rng.random()
        if share < 0.45:
            name = rng.choice(KINDS), rng.choice(COLOURS)
        elif share < 0.8:
            name = rng.choice(names()), NONE
        else:
            name = rng.choice(MARKS), NONE
        if name not in taken:
            return name


def _layer(
    rng: random.Random,
    shape: tuple[int, ...],
    kind: str,
    colour: str,
    place: str,
    jitter: float = JITTER,
) -> Layer:
    height, width, _ = shape
    short = min(height, width)
    size = rng.choice(SIZES) if kind in KINDS else NONE
    radius = RADIUS[size] * short / 6 if kind in KINDS else rng.uniform(*CUT_OUT_RADIUS) * short
    x, y = anchor(place, height, width)
    spread = jitter * short
    return Layer(
        kind,
        colour,
        size,
        round(x + rng.uniform(-spread, spread), 2),
        round(y + rng.uniform(-spread, spread), 2),
        radius,
        rng.getrandbits(16),
    )


def _free_places(scene: Scene) -> list[str]:
    height, width, _ = scene.photo.shape
    taken = {nearest_place(layer.x, layer.y, height, width) for layer in scene.layers}
    return [place for place in PLACES if place not in taken]


def _roughness(photo: np.ndarray, place: str) -> float:
    """Mean spread of grey levels around a place."""
    height, width, _ = photo.shape
    x, y = anchor(place, height, width)
    reach = min(height, width) // 6
    part = photo[max(0, int(y) - reach) : int(y) + reach, max(0, int(x) - reach) : int(x) + reach]
    return float(part.std((0, 1)).mean())

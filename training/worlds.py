"""The three worlds of examples: drawn shapes, retouched photographs, and objects on photographs."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from training import grammar, photos, scenes
from training.example import Example
from training.kinds import learnt
from training.labels import contents
from training.operation import Item, Operation
from training.photo import objects, retouching
from training.photo.colours import coverage
from training.photo_list import FOLDER
from training.photo_preparation import read_index
from training.render import Drawing, Scene, render

TWO = 0.2  # share of photographs with two operations


@dataclass(frozen=True)
class Source:
    """One picture and the way to edit it: `edit(rng)` is an example, or None where the picture
    allows none at this try."""

    pixels: np.ndarray

    def edit(self, rng: random.Random) -> Example | None:
        raise NotImplementedError


@dataclass(frozen=True)
class ShapesSource(Source):
    scene: Scene
    drawing: Drawing

    def edit(self, rng: random.Random) -> Example | None:
        pair = scenes.edit_scene(rng, self.scene, scenes.draw_op(rng))
        return pair and example_of(rng, pair, self.drawing)


@dataclass(frozen=True)
class PhotoSource(Source):
    """A photograph as it is."""

    def edit(self, rng: random.Random) -> Example | None:
        pixels = self.pixels.astype(np.float32) / 255
        operations: list[Operation] = []
        for _ in range(1 + (rng.random() < TWO)):
            operation = retouching.draw(rng, pixels)
            if not retouching.usable(pixels, operation):
                return None
            if operation.op in {other.op for other in operations}:
                return None
            operations.append(operation)
        present = all(operation.present for operation in operations)
        target = retouching.retouched(self.pixels, operations if present else ())
        return Example(
            _sentence(rng, operations, ()),
            self.pixels,
            target,
            tuple(operations),
            contents(np.zeros(target.shape[:2], np.uint8), ()),
        )


@dataclass(frozen=True)
class ObjectsSource(Source):
    """A photograph with pasted objects; some edits also change its tone."""

    scene: objects.Scene

    def edit(self, rng: random.Random) -> Example | None:
        operation, after = objects.draw(rng, self.scene)
        target = after.picture.pixels
        operations = [operation]
        if rng.random() < TWO / 2 and operation.present:
            pixels = target.astype(np.float32) / 255
            tone = retouching.draw(rng, pixels)
            if tone.where_colour != "none":
                return None
            target = np.rint(retouching.perform(pixels, tone) * 255).astype(np.uint8)
            operations.append(tone)
        picture = self.scene.picture
        return Example(
            _sentence(rng, operations, picture.items),
            self.pixels,
            target,
            tuple(operations),
            contents(picture.owners, picture.items),
        )


def draw_source(
    rng: random.Random,
    bucket: tuple[int, int],
    split: str = "training",
    licences: tuple[str, ...] = (),
) -> Source:
    """A random picture of one of the worlds. `licences` limits the photographs."""
    world = rng.random()
    if world < 0.34:
        scene = scenes.draw_scene(rng, bucket)
        drawing = render(scene)
        return ShapesSource(drawing.pixels, scene, drawing)
    photo = photos.crop(rng, rng.choice(photographs(split, licences)), bucket)
    if world < 0.70:
        return PhotoSource(photo)
    scene = objects.draw_scene(rng, photo)
    return ObjectsSource(scene.picture.pixels, scene)


@cache
def photographs(split: str, licences: tuple[str, ...] = ()) -> list[photos.Photo]:
    if not licences:
        return photos.load_photos(split)
    free = {row["name"] for row in read_index(FOLDER) if row["licence"] in licences}
    return [photo for photo in photographs(split) if photo.name in free]


def draw_example(
    rng: random.Random,
    bucket: tuple[int, int],
    split: str = "training",
    licences: tuple[str, ...] = (),
) -> Example:
    """As `draw_source`, with an edit."""
    while True:
        example = draw_source(rng, bucket, split, licences).edit(rng)
        if example:
            return example


def idle_example(rng: random.Random, bucket: tuple[int, int]) -> Example:
    """A picture of any world with a sentence that changes nothing: "unknown" or "nothing"."""
    example = draw_example(rng, bucket)
    operation = Operation(rng.choice(("unknown", "unknown", "unknown", "nothing")))
    language = grammar.draw_language(rng)
    if operation.op == "unknown":
        text = grammar.draw_unknown(rng, learnt(), language)
    else:
        text = _sentence(rng, (operation,), ())
    return Example(text, example.source, example.source, (operation,), example.contents)


def picture_for(
    rng: random.Random,
    bucket: tuple[int, int],
    text: str,
    operations: Sequence[Operation],
    split: str = "held out",
) -> Example:
    """A photograph that has the targets of the operations, with the sentence `text`. Its target is
    the source: how the edit looks is not asked."""
    colours = [row.where_colour for row in operations if row.where_colour != "none"]
    while True:
        photo = photos.crop(rng, rng.choice(photographs(split)), bucket)
        shares = coverage(photo.astype(np.float32) / 255)
        if all(shares[colour] >= retouching.PRESENT for colour in colours):
            break
    items = [row.target for row in operations if row.target]
    picture = objects.scene_with(rng, photo, items).picture
    labels = contents(picture.owners, picture.items)
    return Example(text, picture.pixels, picture.pixels, tuple(operations), labels)


def example_of(rng: random.Random, pair: scenes.Pair, source: Drawing) -> Example:
    """The example of a pair of drawn scenes, of which `source` is rendered."""
    return Example(
        _sentence(rng, pair.operations, pair.items),
        source.pixels,
        render(pair.target).pixels,
        pair.operations,
        contents(source.owners, pair.items),
    )


def _sentence(rng: random.Random, operations: Sequence[Operation], items: Sequence[Item]) -> str:
    """An instruction in a random language that has a form for it, otherwise in English."""
    try:
        return grammar.sentence(rng, operations, items, grammar.draw_language(rng), kinds=learnt())
    except grammar.GrammarError:
        return grammar.sentence(rng, operations, items, kinds=learnt())

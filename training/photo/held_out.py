"""The evaluation's edits of photographs that are never trained on."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
from PIL import Image, ImageOps

from training import photos, worlds
from training.example import Example
from training.labels import contents
from training.operation import Operation
from training.photo.judge import REDRAWN
from training.photo.objects import draw_scene
from training.photo.retouching import retouched
from training.scenes import BUCKETS
from training.vocabulary import DETAIL_OPS, NONE
from training.worlds import ObjectsSource, PhotoSource

KINDS = ("tone", "place", "detail", "object")
HELD_OUT = 600
HELD_OUT_LARGE = 24
SCALE = 4  # a picture's side, in sides of the bucket that the networks see
LARGE = 3008, 4000  # height and width of the pictures of 12 MP, in whole cells
REDUCTION = 4  # side of such a picture, in sides of the one that its edit is drawn for
SHAREABLE = ("CC0-1.0", "public domain", "CC-BY-2.0", "CC-BY-4.0")  # licences of a sheet's pictures
LEAST_ORIGINAL = 2400  # shorter side of the originals that they are made of


@dataclass(frozen=True)
class PhotoEdit:
    """One edit of an evaluation. `kind` is its row in the table."""

    kind: str
    example: Example

    @property
    def redraws(self) -> bool:
        """Whether the content's own gradients are lost."""
        return any(
            operation.op in REDRAWN or operation.target or operation.result
            for operation in self.example.operations
        )


def held_out(count: int = HELD_OUT) -> Iterator[PhotoEdit]:
    """Edits of all kinds, shapes and held-out photographs in turn, at several times the size that
    the networks see. FileNotFoundError without photographs."""
    rng = random.Random("held out photographs")
    rows = load_held_out()
    for number in range(count):
        height, width = BUCKETS[number % len(BUCKETS)]
        photo = rows[number % len(rows)]
        pixels = photos.crop(rng, photo, (SCALE * height, SCALE * width))
        yield _edit(rng, pixels, KINDS[number % len(KINDS)])


def shareable(count: int = HELD_OUT) -> list[int]:
    """The numbers of the edits of `held_out` whose photographs a contact sheet may show with their
    authors' names alone. FileNotFoundError without photographs."""
    free = {photo.name for photo in worlds.photographs("held out", SHAREABLE)}
    rows = load_held_out()
    return [number for number in range(count) if rows[number % len(rows)].name in free]


def held_out_large(count: int = HELD_OUT_LARGE) -> Iterator[PhotoEdit]:
    """Edits at 12 MP of held-out photographs whose originals are large enough. FileNotFoundError
    without one."""
    rng = random.Random("held out photographs of 12 MP")
    rows = [photo for photo in load_held_out() if _short_side(photo) >= LEAST_ORIGINAL]
    if not rows:
        raise FileNotFoundError("no held-out photograph has 12 MP; run `make photos`")
    for number in range(count):
        yield _edit_large(rng, _large(rows[number % len(rows)]), KINDS[number % len(KINDS)])


def load_held_out() -> list[photos.Photo]:
    """The held-out photographs; FileNotFoundError where there is none."""
    rows = worlds.photographs("held out")
    if not rows:
        raise FileNotFoundError("no held-out photograph is prepared; run `make photos`")
    return rows


def kind_of(operations: tuple[Operation, ...]) -> str:
    """The kind of an edit: the first of object, detail and place that one of its operations is,
    otherwise tone."""
    if any(operation.target or operation.result for operation in operations):
        return "object"
    if any(operation.op in DETAIL_OPS for operation in operations):
        return "detail"
    if any(operation.where != NONE for operation in operations):
        return "place"
    return "tone"


def _edit(rng: random.Random, pixels: np.ndarray, kind: str) -> PhotoEdit:
    """A random edit of that kind."""
    while True:
        if kind == "object":
            scene = draw_scene(rng, pixels)
            example = ObjectsSource(scene.picture.pixels, scene).edit(rng)
        else:
            example = PhotoSource(pixels).edit(rng)
        if example and example.edits and kind_of(example.operations) == kind:
            return PhotoEdit(kind, example)


def _edit_large(rng: random.Random, pixels: np.ndarray, kind: str) -> PhotoEdit:
    """A random edit of that kind. A retouching is drawn for the reduced picture, because most draws
    are of other kinds."""
    if kind == "object":
        return _edit(rng, pixels, kind)
    height, width, _ = pixels.shape
    small = (width // REDUCTION, height // REDUCTION)
    edit = _edit(rng, cv2.resize(pixels, small, interpolation=cv2.INTER_AREA), kind)
    example = replace(
        edit.example,
        source=pixels,
        target=retouched(pixels, edit.example.operations),
        contents=contents(np.zeros((height, width), np.uint8), ()),
    )
    return PhotoEdit(kind, example)


def _short_side(photo: photos.Photo) -> int:
    with Image.open(photo.original) as image:
        return min(image.size)


def _large(photo: photos.Photo) -> np.ndarray:
    """The middle of a photograph at 12 MP, uint8 [H, W, 3]."""
    with Image.open(photo.original) as image:
        whole = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    height, width = LARGE
    rows, columns = whole.shape[:2]
    scale = min(rows / height, columns / width)
    crop_rows = int(height * scale)
    crop_columns = int(width * scale)
    top = (rows - crop_rows) // 2
    left = (columns - crop_columns) // 2
    part = whole[top : top + crop_rows, left : left + crop_columns]
    return cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)

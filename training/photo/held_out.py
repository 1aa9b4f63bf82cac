"""The evaluation's edits of photographs that are never trained on."""

import random
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image, ImageOps

from training import photos
from training.example import Example
from training.operation import Operation
from training.photo.judge import REDRAWN
from training.photo.objects import draw_scene
from training.scenes import BUCKETS
from training.vocabulary import DETAIL_OPS, NONE
from training.worlds import ObjectsSource, PhotoSource, photographs

KINDS = ("tone", "place", "detail", "object")
HELD_OUT = 600
SCALE = 4  # a picture's side, in sides of the bucket that the networks see
LARGE = 3000, 4000  # height and width of the pictures of 12 MP
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


def held_out(count: int = HELD_OUT) -> list[PhotoEdit]:
    """Edits of all kinds, shapes and held-out photographs in turn, at several times the size that
    the networks see."""
    rng = random.Random("held out photographs")
    rows = photographs("held out")
    edits = []
    for number in range(count):
        height, width = BUCKETS[number % len(BUCKETS)]
        photo = rows[number % len(rows)]
        pixels = photos.crop(rng, photo, (SCALE * height, SCALE * width))
        edits.append(_edit(rng, pixels, KINDS[number % len(KINDS)]))
    return edits


def held_out_large(count: int = 24) -> list[PhotoEdit]:
    """Edits at 12 MP of held-out photographs whose originals are large enough."""
    rng = random.Random("held out photographs of 12 MP")
    pictures = [
        _large(photo) for photo in photographs("held out") if _short_side(photo) >= LEAST_ORIGINAL
    ]
    return [
        _edit(rng, pictures[number % len(pictures)], KINDS[number % len(KINDS)])
        for number in range(count)
    ]


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

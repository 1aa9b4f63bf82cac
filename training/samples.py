"""The sample pictures of the checkpoint: a photograph, one with a date on it, and a drawn scene."""

import json
import random
from pathlib import Path

import numpy as np
from PIL import Image

from training import marks
from training.photos import load_photos
from training.render import Scene, Shape, render

PHOTO = "aitzgorri"  # held out
DATED = "kingfisher"  # held out, CC0-1.0
DATE = 4  # seed of a date in the bottom right corner
SCENE = Scene(
    128,
    128,
    "yellow",
    "diagonal",
    (
        Shape("red", "circle", "large", 42, 44),
        Shape("green", "square", "medium", 102, 62),
        Shape("purple", "star", "large", 64, 106),
    ),
)
QUALITY = 90  # of JPEG files


# name, picture and instruction of the edits that a demo makes
EDITS = (
    ("tone", "sample.jpg", "make it warmer"),
    ("part", "sample.jpg", "make the left half black and white"),
    ("frame", "object.jpg", "add a vignette"),
    ("drawing", "shapes.png", "remove the green square"),
)


def write(out: Path) -> None:
    """Write sample.jpg, object.jpg and shapes.png, the edits of them in demo.json, and the first
    edit's instruction in sample.txt."""
    edits = [dict(zip(("name", "image", "instruction"), edit)) for edit in EDITS]
    (out / "demo.json").write_text(json.dumps(edits, indent=1) + "\n")
    (out / "sample.txt").write_text(edits[0]["instruction"] + "\n")
    _save(_held_out(PHOTO), out / "sample.jpg")
    dated, _ = marks.date(random.Random(DATE), _held_out(DATED))
    _save(dated, out / "object.jpg")
    Image.fromarray(render(SCENE).pixels).save(out / "shapes.png")


def _held_out(name: str) -> np.ndarray:
    (photo,) = [photo for photo in load_photos("held out") if photo.name == name]
    return photo.pixels


def _save(pixels: np.ndarray, path: Path) -> None:
    Image.fromarray(pixels).save(path, quality=QUALITY)

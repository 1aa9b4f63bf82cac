"""Example edits of the shipped checkpoint: `retouch demo` makes them, and the page offers them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from retouch_clients.shipped_checkpoint import SHIPPED

# name, picture and instruction; the checkpoint's sample.txt repeats the first instruction
EDITS = (
    ("tone", "sample.jpg", "make it warmer"),
    ("part", "sample.jpg", "make the left half black and white"),
    ("object", "object.jpg", "remove the date"),
    ("shapes", "shapes.png", "make the red circle blue"),
)


@dataclass(frozen=True)
class Example:
    """One edit. The files of a demo begin with its `name`."""

    name: str
    image: Path
    instruction: str


def examples() -> list[Example]:
    """The examples; an empty list if a picture of theirs is not beside the code."""
    edits = [Example(name, SHIPPED / file, instruction) for name, file, instruction in EDITS]
    return edits if all(edit.image.is_file() for edit in edits) else []

"""Example edits of the shipped checkpoint: `retouch demo` makes them, and the page offers them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from retouch_clients.shipped_checkpoint import SHIPPED

FILE = "demo.json"  # of a checkpoint; sample.txt repeats the first instruction


@dataclass(frozen=True)
class Example:
    """One edit. The files of a demo begin with its `name`."""

    name: str
    image: Path
    instruction: str


def examples() -> list[Example]:
    """The examples; an empty list if a picture of theirs is not beside the code."""
    file = SHIPPED / FILE
    if not file.is_file():
        return []
    edits = [
        Example(row["name"], SHIPPED / row["image"], row["instruction"])
        for row in json.loads(file.read_text())
    ]
    return edits if all(edit.image.is_file() for edit in edits) else []

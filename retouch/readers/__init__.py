"""The readers: what an instruction becomes on the host before a family's transformer sees it. numpy only.

A reader is for the families that have no parser: it runs the checkpoint's text encoder and answers the conditioning.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol

import numpy as np

from retouch.manifest import read

# family: module, imported when it is asked for; the class is its `Reader`
READERS = {
    "flux-kontext": "retouch.readers.kontext",
}


class Reader(Protocol):
    """Made as `Reader(folder)` of the exported text encoder's folder; ArtifactError."""

    def read(self, instruction: str, photos: list[np.ndarray]) -> dict[str, np.ndarray]:
        """The family's conditioning, float32 without a batch dimension, of a sentence about photos uint8 [H, W, 3]."""


def reader_of(folder: Path) -> Reader:
    """The reader of the family that `folder` was exported for; ArtifactError, ValueError."""
    family = read(folder).family
    if family not in READERS:
        raise ValueError(f"the family {family!r} has no reader; there are {', '.join(READERS)}")
    return importlib.import_module(READERS[family]).Reader(folder)

"""The text side of a checkpoint on the host: an instruction, and photos where the text model sees them, to what the
diffusion transformer is told. numpy only."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol

import numpy as np

from retouch.manifest import read
from retouch.runners import Opener
from retouch.runners.onnx import OnnxRunner

# family in the manifest: module and class
READERS = {
    "flux-kontext": ("retouch.readers.kontext", "Reader"),
    "flux2-klein-kv": ("retouch.readers.klein", "Reader"),
    "qwen-image-edit": ("retouch.readers.qwen_image_edit", "Reader"),
}


class Reader(Protocol):
    """Made as `Reader(folder, runner)` of the version folder that the text encoder was exported to."""

    def read(self, instruction: str, photos: list[np.ndarray]) -> dict[str, np.ndarray]:
        """The family's conditioning, without a batch dimension; `conditioning` [T, J] is what the network attends to. `photos`
        uint8 [H, W, 3] of any size; ValueError for more or fewer than the family takes."""


def reader_of(folder: Path, runner: Opener = OnnxRunner) -> Reader:
    """The reader of the folder's family; ArtifactError, ValueError when the family has none."""
    family = read(folder).family
    if family not in READERS:
        raise ValueError(f"the family {family!r} has no reader; there are {', '.join(READERS)}")
    module, kind = READERS[family]
    return getattr(importlib.import_module(module), kind)(folder, runner)

"""What reads an instruction for a family whose conditioning comes from a text model, photos seen or not. numpy only."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol

import numpy as np

from retouch.manifest import read as manifest_of
from retouch.runners import Opener
from retouch.runners.onnx import OnnxRunner

# name in the manifest: module and class, imported when a text model of it is loaded
READERS = {"qwen-image-edit": ("retouch.readers.qwen_image_edit", "Reader")}


class Reader(Protocol):
    """Made as `Reader(folder, runner)` of the folder that the text model was exported to."""

    def read(self, instruction: str, photos: list[np.ndarray]) -> dict[str, np.ndarray]:
        """The family's conditioning, without a batch dimension, for photos uint8 [H, W, 3] of any size; ValueError for
        more or fewer photos than the family takes."""


def reader_of(folder: Path, runner: Opener = OnnxRunner) -> Reader:
    """The reader of the text model in `folder`; ArtifactError, and ValueError when its family is unknown."""
    name = manifest_of(folder).family
    if name not in READERS:
        raise ValueError(f"the family {name!r} has no reader; there are {', '.join(READERS)}")
    module, kind = READERS[name]
    return getattr(importlib.import_module(module), kind)(folder, runner)

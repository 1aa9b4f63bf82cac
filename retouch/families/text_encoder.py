"""The text side of a checkpoint on the host: an instruction, and photos where the text model sees
them, to what the diffusion transformer is told. numpy only."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol

import numpy as np

from retouch.artifacts.manifest import read
from retouch.backends.base import Opener
from retouch.backends.onnx import OnnxRunner

# family in the manifest: module and class
TEXT_ENCODERS = {
    "flux-kontext": ("retouch.families.flux_kontext.text", "TextEncoder"),
    "flux2-klein-kv": ("retouch.families.flux2_klein.text", "TextEncoder"),
    "qwen-image-edit": ("retouch.families.qwen_image_edit.text", "TextEncoder"),
}


class TextEncoder(Protocol):
    """Made as `TextEncoder(folder, runner)` of the version folder that the text encoder was
    exported to."""

    def read(self, instruction: str, photos: list[np.ndarray]) -> dict[str, np.ndarray]:
        """The family's conditioning, without a batch dimension; `conditioning` [T, J] is what the
        network attends to. `photos` uint8 [H, W, 3] of any size; ValueError for more or fewer than
        the family takes."""


def text_encoder_of(folder: Path, runner: Opener = OnnxRunner) -> TextEncoder:
    """The reader of the folder's family; ArtifactError, ValueError when the family has none."""
    family = read(folder).family
    if family not in TEXT_ENCODERS:
        raise ValueError(
            f"the family {family!r} has no reader; there are {', '.join(TEXT_ENCODERS)}"
        )
    module, kind = TEXT_ENCODERS[family]
    return getattr(importlib.import_module(module), kind)(folder, runner)

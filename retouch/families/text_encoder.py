"""The text encoder of a checkpoint on the host: an instruction, and photos where the text model
sees them, to prompt embeds. numpy only."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from retouch.artifacts.manifest import read
from retouch.backends.base import BackendFactory
from retouch.backends.onnx import OnnxBackend
from retouch.families.registry import class_of, package_of

Photos = Sequence[np.ndarray]


class TextEncoder(Protocol):
    """Made as `TextEncoder(folder, backend)` of the version folder that the text encoder was
    exported to. `batches` and `compiles` are the backend's."""

    batches: bool
    compiles: bool

    def encode_texts(self, rows: Sequence[tuple[str, Photos]]) -> list[dict[str, np.ndarray]]:
        """`encode_text` of several instructions with their photos as `prepared` makes them; equal
        lengths share a run where the backend gains by it."""
        ...

    def prepared(self, photo: np.ndarray) -> np.ndarray:
        """A photo uint8 [H, W, 3] at the size at which the text model sees it."""
        ...

    def encode_text(self, instruction: str, photos: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        """The family's conditioning by name, float32 without a batch dimension: `prompt_embeds`
        [T, J] and, in some families, `pooled_prompt_embeds` [P].

        `photos` are uint8 [H, W, 3] of any size; ValueError for more or fewer than the family
        takes."""
        ...


def text_encoder_of(folder: Path, backend: BackendFactory = OnnxBackend) -> TextEncoder:
    """The text encoder of the folder's family; ArtifactError, and ValueError when the family has a
    parser in its place."""
    family = read(folder).family
    package = package_of(family)
    if class_of(family).has_parser:
        raise ValueError(f"the family {family!r} has a parser and no text encoder")
    module = importlib.import_module(f"{__package__}.{package}.text")
    return module.TextEncoder(folder, backend)

"""The stage `vl_parser` of a family with a text encoder: prompt embeds, and no region."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from retouch.api.geometry import CELL
from retouch.artifacts.manifest import read as read_manifest
from retouch.backends.base import BackendFactory
from retouch.backends.onnx import OnnxBackend
from retouch.families.instructx.parser import Parsed, Parser
from retouch.families.registry import class_of
from retouch.families.text_encoder import text_encoder_of
from retouch.imaging import images
from retouch.util.content_cache import Cache, key_of

PROMPT_BYTES = 256 << 20  # of cached prompt embeds


class TextStage:
    """Caches prompt embeds by their sentence and photos."""

    def __init__(
        self, folder: Path, bytes: int = PROMPT_BYTES, backend: BackendFactory = OnnxBackend
    ):
        """ArtifactError when an artifact does not match the folder's manifest; ValueError for a
        family without a text encoder."""
        self._encoder = text_encoder_of(folder, backend)
        self.prompts = Cache(bytes)

    def parse(
        self, files: Sequence[bytes], pixels: np.ndarray, instruction: str, negative: str
    ) -> Parsed:
        """Encode an instruction and, unless it is empty, a negative one. The region is the whole
        image.

        `files` are encoded photos, the edited one first. `pixels` uint8 [H, W, 3] is that one at
        the size at which it is edited."""
        photos = [images.decode(file, first_frame=True) for file in files]  # validated before
        key = key_of(*photos)
        is_cached = (key, instruction) in self.prompts

        def encoded(sentence: str) -> dict[str, np.ndarray]:
            return self.prompts.get(
                (key, sentence), lambda: self._encoder.encode_text(sentence, photos)
            )

        positive = encoded(instruction)
        against = encoded(negative) if negative else {}
        cells = pixels.shape[0] // CELL * (pixels.shape[1] // CELL)
        no_embeds = np.zeros((0, 0), np.float32)
        no_pooled = np.zeros(0, np.float32)
        return Parsed(
            positive["prompt_embeds"],
            np.zeros((1, 2, 4), np.float32),
            [],
            np.ones(cells, bool),
            {"parse": is_cached},
            positive.get("pooled_prompt_embeds", no_pooled),
            against.get("prompt_embeds", no_embeds),
            against.get("pooled_prompt_embeds", no_pooled),
        )


def stage_of(folder: Path, backend: BackendFactory = OnnxBackend) -> Parser | TextStage:
    """The stage of the family that `folder` was exported for; ArtifactError, ValueError."""
    family = class_of(read_manifest(folder).family)
    if family.has_parser:
        return Parser(folder, backend=backend)
    return TextStage(folder, backend=backend)

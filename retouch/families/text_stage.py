"""The stage `vl_parser` of a family with a text encoder: prompt embeds, and no region."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from retouch.api.geometry import CELL
from retouch.artifacts.manifest import read as read_manifest
from retouch.backends.base import BackendFactory
from retouch.backends.onnx import OnnxBackend
from retouch.families.instructx.parser import Parsed, ParseInput, Parser
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
        self.batches = self._encoder.batches
        self.compiles = self._encoder.compiles
        self.prompts = Cache(bytes)

    def parse(self, rows: Sequence[ParseInput]) -> list[Parsed]:
        """Encode instructions and negative ones. The region is the whole image.

        Sentences of equal lengths share a run where the backend gains by it."""
        photos = [[self._photo(file) for file in row.files] for row in rows]
        keys = [key_of(*row_photos) for row_photos in photos]
        by_key = dict(zip(keys, photos))
        cached = [(key, row.instruction) in self.prompts for key, row in zip(keys, rows)]
        sentences = [
            (key, sentence)
            for key, row in zip(keys, rows)
            for sentence in (row.instruction, row.negative)
            if sentence is not None
        ]
        embeds = self.prompts.get_all(
            sentences,
            lambda missing: self._encoder.encode_texts(
                [(sentence, by_key[key]) for key, sentence in missing]
            ),
        )
        by_sentence = dict(zip(sentences, embeds))
        return [
            _parsed(
                row.pixels,
                by_sentence[key, row.instruction],
                by_sentence[key, row.negative] if row.negative is not None else {},
                is_cached,
            )
            for row, key, is_cached in zip(rows, keys, cached)
        ]

    def _photo(self, file: bytes) -> np.ndarray:
        """A photo's pixels for the text model. Only one is in memory at its own size. The files
        were validated before."""
        return self._encoder.prepared(images.decode(file, first_frame=True))


def _parsed(
    pixels: np.ndarray,
    positive: dict[str, np.ndarray],
    negative: dict[str, np.ndarray],
    is_cached: bool,
) -> Parsed:
    """The stage's result for an image of `pixels` and the embeds of its instructions."""
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
        negative.get("prompt_embeds", no_embeds),
        negative.get("pooled_prompt_embeds", no_pooled),
    )


def stage_of(folder: Path, backend: BackendFactory = OnnxBackend) -> Parser | TextStage:
    """The stage of the family that `folder` was exported for; ArtifactError, ValueError."""
    family = class_of(read_manifest(folder).family)
    if family.has_parser:
        return Parser(folder, backend=backend)
    return TextStage(folder, backend=backend)

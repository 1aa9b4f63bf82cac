"""The text side of a family with a reader, in the parser's place: it says what the network is told,
and finds no region."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from retouch.api.request import CELL
from retouch.artifacts.manifest import read as manifest_of
from retouch.families.instructx.parser import Parsed, Parser
from retouch.families.text_encoder import TEXT_ENCODERS, text_encoder_of
from retouch.imaging import images
from retouch.util.content_cache import Cache, key_of

READ_BYTES = 256 << 20  # of what sentences mean


class TextStage:
    """It remembers what a sentence means beside its photos."""

    def __init__(self, folder: Path, bytes: int = READ_BYTES):
        """ArtifactError when an artifact is not what the folder's manifest says; ValueError for a
        family without a reader."""
        self._reader = text_encoder_of(folder)
        self.read = Cache(bytes)

    def parse(
        self, files: Sequence[bytes], pixels: np.ndarray, instruction: str, negative: str
    ) -> Parsed:
        """Of encoded photos, the edited one first, which is edited as `pixels` [H, W, 3] and may
        change everywhere; a `negative` instruction is read too where there is one."""
        photos = [
            images.decode(file, first_frame=True) for file in files
        ]  # others are refused before
        key = key_of(*photos)
        known = (key, instruction) in self.read

        def read(sentence: str) -> dict[str, np.ndarray]:
            return self.read.get((key, sentence), lambda: self._reader.read(sentence, photos))

        said = read(instruction)
        against = read(negative) if negative else {}
        cells = pixels.shape[0] // CELL * (pixels.shape[1] // CELL)
        nothing = np.zeros((0, 0), np.float32), np.zeros(0, np.float32)
        return Parsed(
            said["conditioning"],
            np.zeros((1, 2, 4), np.float32),
            [],
            np.ones(cells, bool),
            {"parse": known},
            said.get("pooled", nothing[1]),
            against.get("conditioning", nothing[0]),
            against.get("pooled", nothing[1]),
        )


def stage_of(folder: Path) -> Parser | TextStage:
    """What reads for the family that `folder` was exported for; ArtifactError."""
    return TextStage(folder) if manifest_of(folder).family in TEXT_ENCODERS else Parser(folder)

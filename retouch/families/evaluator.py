"""The stage that scores answers: source, answer, region and the parser's reading to four scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retouch.api.response import Operation, Scores
from retouch.artifacts.manifest import ArtifactError, read
from retouch.backends.base import BackendFactory
from retouch.backends.onnx import OnnxBackend
from retouch.quality.compared import Compared
from retouch.quality.reading import Vocabulary

GRAPH = "model"
DIGITS = 4  # of a score


@dataclass(frozen=True)
class ToScore:
    """One answer: the pictures, the operations that the parser has read, and their boxes
    [S, 2, 4]."""

    compared: Compared
    operations: Sequence[Operation]
    boxes: np.ndarray


class Evaluator:
    """Scores one answer at a time."""

    batches = False
    compiles = False

    def __init__(self, folder: Path, backend: BackendFactory = OnnxBackend):
        """ArtifactError when the artifact does not match the folder's manifest, or is none of an
        evaluator."""
        settings = read(folder).settings
        try:
            self.version = str(settings["version"])
            self._vocabulary = Vocabulary(
                tuple(settings["ops"]), tuple(settings["terms"]), int(settings["slots"])
            )
        except (KeyError, TypeError, ValueError):
            raise ArtifactError(
                "the manifest of evaluator/1 does not describe an evaluator; export it again"
            ) from None
        self._backend = backend(folder, GRAPH)

    def score(self, row: ToScore) -> Scores:
        logits = self._backend.run(**self.inputs(row))["logits"][0]
        scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
        score, consistency, instruction, plausibility = scores.round(DIGITS).tolist()
        return Scores(score, consistency, instruction, plausibility, self.version)

    def inputs(self, row: ToScore) -> dict[str, np.ndarray]:
        """The graph's inputs, float32 with a leading batch dimension of 1."""
        slots = self._vocabulary.slots
        boxes = np.zeros((slots, 2, 4), np.float32)
        count = min(slots, len(row.boxes))
        boxes[:count] = row.boxes[:count]
        return {
            "source": _planes(row.compared.source),
            "answer": _planes(row.compared.answer),
            "region": row.compared.cells[None, None].astype(np.float32),
            "reading": self._vocabulary.reading(row.operations)[None],
            "boxes": boxes[None],
        }


def _planes(pixels: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] → float32 [1, 3, H, W]."""
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None], np.float32)

"""The connector as a stage: the parser's meta-queries to the transformer's conditioning."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retouch.artifacts.manifest import read
from retouch.backends.onnx import OnnxRunner

GRAPH = "model"


class Connector:
    """A two-layer MLP, or nothing: a checkpoint whose text encoder speaks the transformer's
    language has no such graph."""

    def __init__(self, folder: Path):
        """ArtifactError when the artifact is not what the folder's manifest says."""
        self._runner = OnnxRunner(folder, GRAPH) if f"{GRAPH}.onnx" in read(folder).files else None

    def run(self, queries: np.ndarray) -> np.ndarray:
        """Meta-queries float32 [B, Q, D] → conditioning float32 [B, Q, J]."""
        return (
            queries if self._runner is None else self._runner.run(queries=queries)["conditioning"]
        )

"""The connector as a stage: the parser's meta-queries to the transformer's conditioning."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retouch.runners.onnx import OnnxRunner


class Connector:
    def __init__(self, folder: Path):
        """ArtifactError when the artifact is not what the folder's manifest says."""
        self._runner = OnnxRunner(folder, "model")

    def run(self, queries: np.ndarray) -> np.ndarray:
        """Meta-queries float32 [B, Q, D] → conditioning float32 [B, Q, J]."""
        return self._runner.run(queries=queries)["conditioning"]

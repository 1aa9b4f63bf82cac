"""The stage `connector`: the parser's meta-queries to the transformer's prompt embeds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from retouch.artifacts.manifest import read
from retouch.backends.base import BackendFactory
from retouch.backends.batches import run_rows
from retouch.backends.onnx import OnnxBackend

GRAPH = "model"


class Connector:
    """A two-layer MLP, or the identity: a text encoder's hidden states are prompt embeds already,
    and such a checkpoint has no graph for this stage. `queries` are the number of meta-queries and
    their width."""

    def __init__(self, folder: Path, backend: BackendFactory = OnnxBackend):
        """ArtifactError when the artifact does not match the folder's manifest."""
        manifest = read(folder)
        settings = manifest.settings
        self._backend = backend(folder, GRAPH) if f"{GRAPH}.onnx" in manifest.files else None
        self.batches = self._backend is not None and self._backend.batches
        self.compiles = self._backend is not None and self._backend.compiles
        self.queries: tuple[int, int] = tuple(settings.get("queries", (0, 0)))

    def run(self, queries: np.ndarray) -> np.ndarray:
        """Meta-queries float32 [B, Q, D] → prompt embeds float32 [B, Q, J]."""
        if self._backend is None:
            return queries
        return self._backend.run(queries=queries)["conditioning"]

    def run_rows(self, rows: Sequence[np.ndarray]) -> list[np.ndarray]:
        """`run` for several [Q, D], in one run where the backend gains by it."""
        if self._backend is None:
            return list(rows)
        inputs = [{"queries": queries[None]} for queries in rows]
        return [outputs["conditioning"][0] for outputs in run_rows(self._backend, inputs)]

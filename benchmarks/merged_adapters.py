"""Random adapters, and graphs with an adapter in their weights: what an edit by request is measured
against."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
from onnx import ModelProto, TensorProto, numpy_helper

from retouch.artifacts.adapter_folder import DOWN, UP
from retouch.artifacts.manifest import read
from retouch.artifacts.matrices import Matrices
from retouch.artifacts.onnx_scopes import ROOT
from retouch.backends.onnx import OnnxBackend, session
from retouch.backends.onnx_branches import add_branches
from retouch.backends.onnx_lowering import lower

BFLOAT16 = ml_dtypes.bfloat16


class MergedBackend(OnnxBackend):
    """A bf16 graph on ONNX Runtime's CPU whose initialisers are patched with an adapter's change:
    a session for every adapter. Without `rounded`, nothing is rounded to bfloat16."""

    def __init__(
        self,
        folder: Path,
        graph: str,
        keep: tuple[str, ...] = (),
        rounded: bool = True,
        matrices: Matrices | None = None,
    ):
        self.manifest = read(folder)
        self._session = session(patched(folder / f"{graph}.onnx", matrices or {}, rounded))
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._branches = frozenset()
        self.workers = 1


def patched(path: Path, matrices: Matrices, rounded: bool) -> bytes:
    """The lowered graph in `path` with merged weights."""
    model = lower(onnx.load(path), rounded)
    weights = weights_of(model)
    for name in filter(lambda name: name.endswith(UP), matrices):
        module = name.removesuffix(UP)
        tensor = weights.get(f"{ROOT}{module}.weight")
        if tensor is not None:
            change = (matrices[module + DOWN] @ matrices[name]).T
            merged = numpy_helper.to_array(tensor) + change
            merged = merged.astype(BFLOAT16).astype(np.float32) if rounded else merged
            tensor.CopyFrom(numpy_helper.from_array(merged, tensor.name))
    return model.SerializeToString()


def weights_of(model: ModelProto) -> dict[str, TensorProto]:
    return {tensor.name: tensor for tensor in model.graph.initializer}


def random_adapter(
    folder: Path, seed: int, rank: int = 16, share: float = 1.0, strength: float = 0.1
) -> Matrices:
    """An adapter of the lane in `folder` for a share of its linear layers. The norm of a layer's
    change is `strength` times that of its weight."""
    rng = np.random.default_rng(seed)
    matrices: Matrices = {}
    for path in sorted(folder.glob("*.onnx")):
        model = onnx.load(path)
        weights = weights_of(model)
        for name in sorted(add_branches(model)):
            module = name.removesuffix(UP)
            if not name.endswith(UP) or name in matrices or rng.random() > share:
                continue
            tensor = numpy_helper.to_array(weights[f"{ROOT}{module}.weight"])
            rows, columns = tensor.shape
            down = rng.standard_normal((columns, rank), np.float32)
            up = rng.standard_normal((rank, rows), np.float32)
            size = np.linalg.norm(tensor.astype(np.float32)) / np.linalg.norm(down @ up)
            matrices |= {module + DOWN: down, name: up * np.float32(strength * size)}
    return matrices

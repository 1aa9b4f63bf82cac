"""An ONNX graph held against its torch module, on shapes that the trace did not see."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch

from retouch.backends.onnx import session
from retouch.backends.onnx_lowering import load
from retouch_export.graph import Graph, Shape

TOLERANCE = 1e-4  # largest error, relative to the largest value of the output, in float32
# the same for a typed graph: the scale of attention is a bfloat16 number in it
TYPED_TOLERANCE = 5e-2
UNSEEN = (Shape(1, 96, 160, 5, 7), Shape(3, 160, 96, 31, 60), Shape(8, 128, 128, 18, 64))


class ExportError(RuntimeError):
    """A graph that does not do what the torch module does."""


def check(
    graph: Graph, path: Path, shapes: tuple[Shape, ...] = UNSEEN, tolerance: float = TOLERANCE
) -> float:
    """The largest relative error of any output of `path`, run in float32; ExportError when it is
    above `tolerance`."""
    onnx.checker.check_model(str(path))
    running = session(load(path, rounded=False).SerializeToString())
    return max(_error(graph, running, shape, tolerance) for shape in shapes)


def _error(graph: Graph, running, shape: Shape, tolerance: float) -> float:
    inputs = graph.inputs(shape)
    with torch.no_grad():
        expected = graph.module(*inputs.values())
    expected = expected if isinstance(expected, tuple) else (expected,)
    got = running.run(list(graph.outputs), {name: value.numpy() for name, value in inputs.items()})
    worst = 0.0
    for name, ours, theirs in zip(graph.outputs, got, expected):
        error = relative_error(ours, theirs.numpy())
        if not error <= tolerance:
            raise ExportError(
                f"{graph.file}: {name} differs from torch by {error:.1e} at {shape}; "
                f"at most {tolerance:.0e} is allowed"
            )
        worst = max(worst, error)
    return worst


def relative_error(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference over the largest value; infinite when the shapes differ."""
    if ours.shape != theirs.shape:
        return float("inf")
    return float(np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-12))

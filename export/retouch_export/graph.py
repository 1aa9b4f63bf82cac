"""One torch module as one ONNX graph, with dynamic shapes, held against torch on shapes it never
saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from retouch.backends.onnx import session
from retouch.backends.onnx_lowering import load

TOLERANCE = 1e-4  # largest error, relative to the largest value of the output, in float32
# the same for a typed graph: the scale of attention is a bfloat16 number in it
TYPED_TOLERANCE = 5e-2
LARGEST = 500_000_000  # parameters that a graph can hold in float32: it has at most 2 GiB


class ExportError(RuntimeError):
    """A graph that does not do what the torch module does."""


@dataclass(frozen=True)
class Shape:
    """One size of a graph's inputs: height and width in pixels, text and region in tokens."""

    batch: int
    height: int
    width: int
    text: int
    region: int


TRACED = Shape(batch=2, height=128, width=128, text=12, region=20)
UNSEEN = (Shape(1, 96, 160, 5, 7), Shape(3, 160, 96, 31, 60), Shape(8, 128, 128, 18, 64))


@dataclass(frozen=True)
class Graph:
    """`inputs(shape)` makes example inputs by name; `axes` names each input's dynamic dimensions by
    index."""

    name: str
    module: nn.Module
    inputs: Callable[[Shape], dict[str, Tensor]]
    axes: dict[str, dict[int, str]]
    outputs: tuple[str, ...]

    @property
    def file(self) -> str:
        return f"{self.name}.onnx"

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.module.parameters())


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

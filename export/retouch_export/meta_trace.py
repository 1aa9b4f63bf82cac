"""A graph from a torch module without storage: no checkpoint is too large for the machine that
exports it.

The module is made and traced under torch's FakeTensorMode, so parameters have shapes only;
`retouch_export.weights` then points each one at its place in the checkpoint, and what is written
streams from there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx_ir as ir
from torch._subclasses import FakeTensorMode

from retouch_export.graph import TRACED, Graph
from retouch_export.onnx_values import constant_of, dims_of
from retouch_export.simplify import simplify
from retouch_export.trace import state_of, traced
from retouch_export.weights import release

SMALL = 256  # bytes: what is not larger stays in the graph's own file


class Weights(Protocol):
    """What gives graphs their parameters."""

    def check(self, shapes: dict[str, tuple[int, ...]]) -> None:
        """CheckpointError when it has no parameters of these names and shapes."""

    def attach(self, model: ir.Model) -> None:
        """Give each parameter of `model` its numbers, to be read when they are needed;
        CheckpointError."""


def skeletons(make: Callable[[], list[Graph]], weights: Weights) -> dict[str, ir.Model]:
    """The graphs that `make` describes, by name, with parameters by `weights`, which are checked
    before any tracing."""
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        graphs = make()
        for graph in graphs:
            weights.check(
                {name: tuple(value.shape) for name, value in graph.module.named_parameters()}
            )
        return {graph.name: _traced(graph, mode, weights) for graph in graphs}


def _traced(graph: Graph, mode: FakeTensorMode, weights: Weights) -> ir.Model:
    inputs = {name: mode.from_tensor(value) for name, value in graph.inputs(TRACED).items()}
    model = traced(graph, inputs)
    weights.attach(model)
    simplify(model, {name for name, _ in state_of(graph)})
    return model


def save(model: ir.Model, path: Path, say: Callable[[str], None] = lambda text: None) -> None:
    """Write `path` and, beside it, its weights as `path`.data, one tensor at a time."""
    written: list[ir.TensorProtocol] = []

    def begin(tensor: ir.TensorProtocol, info: ir.external_data.CallbackInfo) -> None:
        say(f"{path.name}: tensor {info.index + 1} of {info.total}")
        if written:
            release(written.pop())
        written.append(tensor)

    ir.save(
        model, path, external_data=f"{path.name}.data", size_threshold_bytes=SMALL, callback=begin
    )


def save_without_weights(model: ir.Model, path: Path) -> None:
    """Write `path` alone: it says where in `path`.data every weight would lie. The model is
    changed."""
    offset = 0
    for name, value in model.graph.initializers.items():
        tensor = constant_of(value)
        if tensor.nbytes > SMALL:
            value.const_value = ir.ExternalTensor(
                f"{path.name}.data",
                offset,
                tensor.nbytes,
                tensor.dtype,
                shape=ir.Shape(dims_of(tensor)),
                name=name,
                base_dir=path.parent,
            )
            offset += tensor.nbytes
        elif isinstance(
            tensor, ir.LazyTensor
        ):  # a scale: it would be read off weights that are not there
            value.const_value = ir.tensor(np.ones(dims_of(tensor), tensor.dtype.numpy()), name=name)
    ir.save(model, path)

"""The weights of a graph, which are read from the checkpoint one tensor at a time when they are
needed.

A graph that computes in bfloat16 has bfloat16 weights. A graph that computes in float32 keeps
weights that are stored as bfloat16 and widens them at their use; its other weights are float32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
import onnx_ir as ir

from retouch_export.checkpoint_files import CheckpointError
from retouch_export.onnx_values import dims_of, dtype_of, name_of
from retouch_export.safetensors_index import Stored, TensorSource

HALF = ir.DataType.BFLOAT16
WIDE = ir.DataType.FLOAT
STORED = "/stored"  # suffix for a parameter that is widened


def tensor_of(source: TensorSource, name: str, dtype: ir.DataType = HALF) -> ir.TensorProtocol:
    """A tensor of `dtype` from `source`; bfloat16 that is stored so is memory-mapped.
    CheckpointError when its type cannot be read."""
    if dtype == HALF and is_half(source):
        file = source.file.resolve()  # onnx_ir refuses a link out of its folder
        return ir.ExternalTensor(
            file.name,
            source.offset,
            source.length,
            HALF,
            shape=ir.Shape(source.shape),
            name=name,
            base_dir=file.parent,
        )
    return ir.LazyTensor(
        lambda: ir.tensor(source.numbers().astype(dtype.numpy()), name=name),
        dtype,
        ir.Shape(source.shape),
        name=name,
    )


def is_half(source: TensorSource) -> TypeGuard[Stored]:
    return isinstance(source, Stored) and source.kind == "BF16"


@dataclass(frozen=True)
class StoredWeights:
    """Weights of a checkpoint by name, for parameters whose names begin with one of `prefixes`."""

    prefixes: Sequence[str]
    tensors: Mapping[str, TensorSource]

    def check(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """CheckpointError when a parameter is missing, or has another shape or an unsupported
        type."""
        for name, shape in shapes.items():
            if name.startswith(tuple(self.prefixes)):
                source_of(name, shape, self.tensors)

    def attach(self, model: ir.Model) -> None:
        """Attach the weights to the parameters of `model`; CheckpointError."""
        for name, value in _parameters(model, self.prefixes):
            source = source_of(name, dims_of(value), self.tensors)
            if value.dtype == WIDE and is_half(source):
                _widen(model.graph, value, tensor_of(source, name + STORED))
            else:
                value.const_value = tensor_of(source, name, dtype_of(value))


@dataclass(frozen=True)
class NoWeights:
    """Zeros for all parameters, as of a checkpoint in bfloat16. They are made when they are read: a
    graph's shape and size need no weights."""

    prefixes: Sequence[str]

    def check(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Accept all shapes."""

    def attach(self, model: ir.Model) -> None:
        """Attach zeros, which are widened in a graph that computes in float32."""
        for name, value in _parameters(model, self.prefixes):
            shape = dims_of(value)
            tensor = ir.LazyTensor(
                lambda shape=shape: ir.tensor(np.zeros(shape, HALF.numpy())),
                HALF,
                ir.Shape(shape),
                name=name,
            )
            if value.dtype == WIDE:
                tensor.name = name + STORED
                _widen(model.graph, value, tensor)
            else:
                value.const_value = tensor


def source_of(
    name: str, shape: tuple[int, ...], tensors: Mapping[str, TensorSource]
) -> TensorSource:
    """The checkpoint's source of a parameter; CheckpointError when it is missing, cannot be read,
    or has another shape."""
    if name not in tensors:
        raise CheckpointError(
            f"the checkpoint lacks {_bare(name)}; its config.json describes another network"
        )
    source = tensors[name]
    if isinstance(source, Stored):
        _ = source.dtype  # CheckpointError now, not when it is read
    if source.shape != shape:
        raise CheckpointError(
            f"{_bare(name)} has shape {list(source.shape)} in the checkpoint and "
            f"{list(shape)} by its config.json"
        )
    return source


def _parameters(model: ir.Model, prefixes: Sequence[str]) -> list[tuple[str, ir.Value]]:
    return [
        (name, value)
        for name, value in model.graph.initializers.items()
        if name.startswith(tuple(prefixes))
    ]


def _bare(name: str) -> str:
    """A parameter's name without the prefix of the export's wrapper module."""
    return name.partition(".")[2]


def _widen(graph: ir.Graph, value: ir.Value, tensor: ir.TensorProtocol) -> None:
    """Replace an initializer by `tensor` and a cast to float32."""
    shape = ir.Shape(dims_of(tensor))
    half = ir.Value(name=tensor.name, type=ir.TensorType(HALF), shape=shape, const_value=tensor)
    wide = ir.node("Cast", [half], {"to": WIDE.value})
    graph.register_initializer(half)
    graph.insert_before(graph[0], wide)
    wide.outputs[0].type = ir.TensorType(WIDE)
    wide.outputs[0].shape = shape
    value.replace_all_uses_with(wide.outputs[0])
    del graph.initializers[name_of(value)]
    wide.outputs[0].name = value.name


def release(tensor: ir.TensorProtocol) -> None:
    """Release the pages of a memory-mapped tensor, which count as used memory. It may be read
    again."""
    if isinstance(tensor, ir.ExternalTensor):
        tensor.release()

"""The numbers of a graph's parameters, read from a checkpoint when they are needed, one tensor at a
time.

In a graph that computes in bfloat16 they are bfloat16. In one that computes in float32 those that
the checkpoint stores as bfloat16 stay so and are widened where they are used; all others are
float32."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from retouch_export.checkpoint_files import CheckpointError
from retouch_export.safetensors_index import Stored, TensorSource

HALF = ir.DataType.BFLOAT16
WIDE = ir.DataType.FLOAT
STORED = "/stored"  # after the name of a parameter that is widened


def tensor_of(source: TensorSource, name: str, dtype: ir.DataType = HALF) -> ir.TensorProtocol:
    """As `dtype`, memory-mapped where it is bfloat16 and stored so; CheckpointError when its type
    cannot be read."""
    if dtype == HALF and is_half(source):
        return ir.ExternalTensor(
            source.file.name,
            source.offset,
            source.length,
            HALF,
            shape=ir.Shape(source.shape),
            name=name,
            base_dir=source.file.parent,
        )
    return ir.LazyTensor(
        lambda: ir.tensor(source.numbers().astype(dtype.numpy()), name=name),
        dtype,
        ir.Shape(source.shape),
        name=name,
    )


def is_half(source: TensorSource) -> bool:
    return isinstance(source, Stored) and source.kind == "BF16"


@dataclass(frozen=True)
class StoredWeights:
    """Of a checkpoint, for the parameters whose names begin with one of `prefixes`, by name."""

    prefixes: Sequence[str]
    tensors: Mapping[str, TensorSource]

    def check(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """CheckpointError when one of these parameters is missing, of another shape or of a type
        that is not read."""
        for name, shape in shapes.items():
            if name.startswith(tuple(self.prefixes)):
                source_of(name, shape, self.tensors)

    def attach(self, model: ir.Model) -> None:
        """Give every parameter of `model` its numbers; CheckpointError."""
        for name, value in _parameters(model, self.prefixes):
            source = source_of(name, tuple(value.shape), self.tensors)
            if value.dtype == WIDE and is_half(source):
                _widen(model.graph, value, tensor_of(source, name + STORED))
            else:
                value.const_value = tensor_of(source, name, value.dtype)


@dataclass(frozen=True)
class NoWeights:
    """Zeros for every parameter, as of a checkpoint in bfloat16, made only if somebody reads them:
    a graph's shape and size need no weights."""

    prefixes: Sequence[str]

    def check(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Any will do."""

    def attach(self, model: ir.Model) -> None:
        """Zeros, widened where the graph computes in float32."""
        for name, value in _parameters(model, self.prefixes):
            shape = tuple(value.shape)
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
    """What the checkpoint has for a parameter of that shape; CheckpointError when that cannot be
    read or is another."""
    if name not in tensors:
        raise CheckpointError(
            f"the checkpoint lacks {_theirs(name)}; its config.json describes another network"
        )
    source = tensors[name]
    if isinstance(source, Stored):
        source.dtype  # refuses now what could not be read later
    if source.shape != shape:
        raise CheckpointError(
            f"{_theirs(name)} has shape {list(source.shape)} in the checkpoint and "
            f"{list(shape)} by its config.json"
        )
    return source


def _parameters(model: ir.Model, prefixes: Sequence[str]) -> list[tuple[str, ir.Value]]:
    return [
        (name, value)
        for name, value in model.graph.initializers.items()
        if name.startswith(tuple(prefixes))
    ]


def _theirs(name: str) -> str:
    """A parameter's name without that of our wrapper's attribute."""
    return name.partition(".")[2]


def _widen(graph: ir.Graph, value: ir.Value, tensor: ir.TensorProtocol) -> None:
    """Put `tensor` and its widening in the place of an initializer."""
    half = ir.Value(
        name=tensor.name, type=ir.TensorType(HALF), shape=tensor.shape, const_value=tensor
    )
    wide = ir.node("Cast", [half], {"to": WIDE.value})
    graph.register_initializer(half)
    graph.insert_before(graph[0], wide)
    wide.outputs[0].type = ir.TensorType(WIDE)
    wide.outputs[0].shape = tensor.shape
    value.replace_all_uses_with(wide.outputs[0])
    del graph.initializers[value.name]
    wide.outputs[0].name = value.name


def release(tensor: ir.TensorProtocol) -> None:
    """Let go of the pages that a memory-mapped tensor has read; they count as memory in use. It may
    be read again."""
    if isinstance(tensor, ir.ExternalTensor):
        tensor.release()

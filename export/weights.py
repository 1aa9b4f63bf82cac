"""The numbers of a graph's parameters, read from a checkpoint when they are needed, one tensor at a time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from export.checkpoint import CheckpointError
from export.stored import Source, Stored

WIDE = ir.DataType.BFLOAT16


def tensor_of(source: Source, name: str) -> ir.TensorProtocol:
    """As bfloat16, memory-mapped where it is stored so; CheckpointError when its type cannot be read."""
    if isinstance(source, Stored) and source.kind == "BF16":
        return ir.ExternalTensor(source.file.name, source.offset, source.length, WIDE, shape=ir.Shape(source.shape),
                                 name=name, base_dir=source.file.parent)
    return ir.LazyTensor(lambda: ir.tensor(source.numbers().astype(WIDE.numpy()), name=name), WIDE,
                         ir.Shape(source.shape), name=name)


def attach(model: ir.Model, prefix: str, tensors: Mapping[str, Source]) -> None:
    """Give every parameter of `model`, whose name begins with `prefix`, its numbers; CheckpointError."""
    for name, value in model.graph.initializers.items():
        if not name.startswith(prefix):
            continue
        key = name.removeprefix(prefix)
        if key not in tensors:
            raise CheckpointError(f"the checkpoint lacks {key}; its config.json describes another network")
        if tensors[key].shape != tuple(value.shape):
            raise CheckpointError(f"{key} has shape {list(tensors[key].shape)} in the checkpoint and "
                                  f"{list(value.shape)} by its config.json")
        value.const_value = tensor_of(tensors[key], name)


def release(tensor: ir.TensorProtocol) -> None:
    """Let go of the pages that a memory-mapped tensor has read; they count as memory in use. It may be read again."""
    if isinstance(tensor, ir.ExternalTensor):
        tensor.release()


def blank(model: ir.Model, prefix: str) -> None:
    """Zeros for every parameter, made only if somebody reads them: a graph's shape and size need no weights."""
    for name, value in model.graph.initializers.items():
        if name.startswith(prefix):
            shape = tuple(value.shape)
            value.const_value = ir.LazyTensor(lambda shape=shape: ir.tensor(np.zeros(shape, WIDE.numpy())), WIDE,
                                              ir.Shape(shape), name=name)

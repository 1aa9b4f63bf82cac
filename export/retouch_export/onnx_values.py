"""Accessors of ONNX graphs: the parts of values and nodes that onnx_ir declares optional.

All raise ValueError with the value's or node's name when the part is absent."""

from __future__ import annotations

from typing import TypeVar

import onnx_ir as ir

T = TypeVar("T")


def name_of(value: ir.Value) -> str:
    return _present(value.name, "a value of the graph has no name")


def dtype_of(value: ir.Value) -> ir.DataType:
    return _present(value.dtype, f"{value.name} has no type")


def dims_of(value: ir.Value | ir.TensorProtocol) -> tuple[int, ...]:
    """The shape of a value or tensor; ValueError when a dimension is symbolic."""
    return tuple(_present(value.shape, f"{value.name} has no shape").numpy())


def constant_of(value: ir.Value) -> ir.TensorProtocol:
    """The tensor of an initializer."""
    return _present(value.const_value, f"{value.name} has no constant")


def input_of(node: ir.Node, index: int) -> ir.Value:
    return _present(node.inputs[index], f"the node {node.name} lacks its input {index}")


def _present(part: T | None, failure: str) -> T:
    if part is None:
        raise ValueError(failure)
    return part

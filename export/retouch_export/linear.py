"""The linear layers of a typed graph, with their torch module names and weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from retouch.artifacts.onnx_scopes import module_of
from retouch_export.onnx_values import dims_of, input_of


@dataclass(frozen=True)
class Linear:
    """A Gemm with transB, or a MatMul after the Transpose of its weight. `weight` is an initializer
    [out, in]."""

    node: ir.Node
    module: str
    weight: ir.Value

    @property
    def activation(self) -> ir.Value:
        return input_of(self.node, 0)

    @property
    def columns(self) -> int:
        """Length of the axis over which the product sums."""
        return dims_of(self.weight)[1]

    @property
    def turn(self) -> ir.Node | None:
        """The Transpose between the weight and a MatMul."""
        return input_of(self.node, 1).producer()


def linears(model: ir.Model) -> Iterator[Linear]:
    for node in model.graph:
        weight = _weight(node)
        if weight is not None and weight.is_initializer() and len(dims_of(weight)) == 2:
            yield Linear(node, module_of(node), weight)


def _weight(node: ir.Node) -> ir.Value | None:
    if node.op_type == "Gemm" and "transB" in node.attributes:
        return node.inputs[1]
    if node.op_type == "MatMul":
        turn = input_of(node, 1).producer()
        return turn.inputs[0] if turn is not None and turn.op_type == "Transpose" else None
    return None

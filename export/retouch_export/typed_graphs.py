"""Graphs that compute in bfloat16, but for islands in float32.

Group norms and the enlarging of images compute in float32, as torch's kernels do inside and as
every runtime can: ONNX has no group norm in bfloat16 in this opset. So do activations with numbers
of their own."""

from __future__ import annotations

import onnx_ir as ir
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.activations import NewGELUActivation, QuickGELUActivation

from retouch_export.graph import TRACED, Graph
from retouch_export.onnx_values import input_of
from retouch_export.simplify import simplify
from retouch_export.trace import give, state_of, traced

HALF = ir.DataType.BFLOAT16
WIDE = ir.DataType.FLOAT
FLOAT32_NODES = ("Resize",)
ACTIVATIONS = (NewGELUActivation, QuickGELUActivation)


class Float32GroupNorm(nn.GroupNorm):
    """A group norm that computes in float32, with parameters of any type."""

    def forward(self, input: Tensor) -> Tensor:
        weight = None if self.weight is None else self.weight.float()
        bias = None if self.bias is None else self.bias.float()
        return F.group_norm(input.float(), self.num_groups, weight, bias, self.eps).type_as(input)


class Float32Activation(nn.Module):
    """An activation that computes in float32: a traced graph would round its numbers, such as
    1.702, to bfloat16."""

    def __init__(self, activation: nn.Module):
        super().__init__()
        self.activation = activation

    def forward(self, input: Tensor) -> Tensor:
        return self.activation(input.float()).type_as(input)


def with_islands(graphs: list[Graph]) -> list[Graph]:
    """The graphs themselves; the group norms and activations of their modules now compute in
    float32."""
    for graph in graphs:
        for name, module in list(graph.module.named_modules(remove_duplicate=False)):
            if type(module) is nn.GroupNorm:
                module.__class__ = Float32GroupNorm
            elif isinstance(module, ACTIVATIONS):
                graph.module.set_submodule(name, Float32Activation(module))
    return graphs


def typed_models(graphs: list[Graph]) -> dict[str, ir.Model]:
    """The graphs by name, with bfloat16 parameters. Buffers keep their type. The graphs' modules
    are changed to compute so too."""
    for graph in with_islands(graphs):
        for parameter in graph.module.parameters():
            parameter.data = parameter.data.bfloat16()
    return {graph.name: _model(graph) for graph in graphs}


def round_parameters(graph: Graph, model: ir.Model) -> None:
    """Make the parameters of the graph's module float32, rounded unless they are float32 in
    `model`."""
    wide = {name for name, value in model.graph.initializers.items() if value.dtype == WIDE}
    for name, parameter in graph.module.named_parameters():
        rounded = parameter.data if name in wide else parameter.data.bfloat16()
        parameter.data = rounded.to(torch.float32)


def _model(graph: Graph) -> ir.Model:
    model = traced(graph, graph.inputs(TRACED))
    give(model, graph)
    simplify(model, {name for name, _ in state_of(graph)})
    for node in list(model.graph):
        if node.op_type in FLOAT32_NODES and input_of(node, 0).dtype == HALF:
            _widen(model.graph, node)
    return model


def _widen(graph: ir.Graph, node: ir.Node) -> None:
    """Let the node compute in float32, between two casts."""
    half = node.outputs[0]
    before = ir.node("Cast", [input_of(node, 0)], {"to": WIDE.value}, name=f"{node.name}/wide")
    before.outputs[0].type = ir.TensorType(WIDE)
    before.outputs[0].shape = input_of(node, 0).shape
    after = ir.node("Cast", [half], {"to": HALF.value}, name=f"{node.name}/narrow")
    after.outputs[0].type = ir.TensorType(HALF)
    after.outputs[0].shape = half.shape
    graph.insert_before(node, before)
    graph.insert_after(node, after)
    node.replace_input_with(0, before.outputs[0])
    half.replace_all_uses_with(after.outputs[0])
    after.replace_input_with(0, half)
    half.type = ir.TensorType(WIDE)

"""Low-rank branches beside the linear layers of an ONNX graph: y = x W + (x down) up.

The matrices are inputs of the graph, so one session serves every adapter and keeps its weights
once. Without an adapter their rank is 0, which adds nothing. The branch of a quantised layer takes
the input before it is quantised. In a graph that is lowered afterwards, the sum is rounded once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper

from retouch.artifacts.adapter_folder import DOWN, UP
from retouch.artifacts.onnx_scopes import ROOT

# between a layer and its stored weight
TO_WEIGHT = ("Transpose", "Cast", "CastLike", "Identity", "DequantizeLinear")
# between a quantised layer and its input
TO_INPUT = ("QuantizeLinear", "DequantizeLinear", "TRT_FP4DynamicQuantize")
WEIGHT = re.compile(rf"{re.escape(ROOT)}(?P<module>.+)\.weight(?:/\w+)?")  # or a narrow form of it


@dataclass(frozen=True)
class Layer:
    """A linear layer: its node, the name of its module, the tensor that is its input, and its
    weight's element type and shape [rows, columns]."""

    node: NodeProto
    module: str
    input: str
    element: int
    rows: int
    columns: int


def add_branches(model: ModelProto, typed: bool = False) -> frozenset[str]:
    """Add a branch to every linear layer of the network, in place; returns the names of the
    branches' inputs. They have the element type of the layer's weight if `typed`, else float32."""
    graph = model.graph
    producers = {name: node for node in graph.node for name in node.output}
    weights = {tensor.name: tensor for tensor in graph.initializer}
    inputs: dict[str, tuple[int, tuple[int, int]]] = {}
    nodes = []
    for node in graph.node:
        nodes.append(node)
        layer = _layer(node, producers, weights)
        if layer is not None:
            element = layer.element if typed else TensorProto.FLOAT
            inputs[layer.module + DOWN] = element, (layer.columns, 0)
            inputs[layer.module + UP] = element, (0, layer.rows)
            nodes += _branch(layer)
    del graph.node[:]
    graph.node.extend(nodes)
    for name, (element, shape) in inputs.items():
        _add_input(graph, name, element, shape)
    return frozenset(inputs)


def _layer(
    node: NodeProto, producers: Mapping[str, NodeProto], weights: Mapping[str, TensorProto]
) -> Layer | None:
    """The linear layer that a node is; None for any other node."""
    if node.op_type not in ("MatMul", "Gemm"):
        return None
    name = node.input[1]
    is_turned = any(attribute.name == "transB" and attribute.i for attribute in node.attribute)
    while name not in weights:
        producer = producers.get(name)
        if producer is None or producer.op_type not in TO_WEIGHT:
            return None
        is_turned ^= producer.op_type == "Transpose"
        name = producer.input[0]
    match = WEIGHT.fullmatch(name)
    if match is None:
        return None
    weight = weights[name]
    columns, rows = reversed(weight.dims) if is_turned else weight.dims
    source = _unquantised(node.input[0], producers)
    return Layer(node, match["module"], source, weight.data_type, rows, columns)


def _unquantised(name: str, producers: Mapping[str, NodeProto]) -> str:
    """The tensor that a layer's input was before it was quantised; the input itself in a layer
    that is not."""
    first = name
    producer = producers.get(name)
    if producer is not None and producer.op_type == "Cast":
        name = producer.input[0]
        producer = producers.get(name)
    if producer is None or producer.op_type not in TO_INPUT:
        return first
    while producer is not None and producer.op_type in TO_INPUT:
        name = producer.input[0]
        producer = producers.get(name)
    return name


def _branch(layer: Layer) -> list[NodeProto]:
    """The nodes of a branch. The layer's output keeps its name, and with it its rounding."""
    output = layer.node.output[0]
    plain, low, change = (f"{output}/{part}" for part in ("plain", "low", "change"))
    layer.node.output[0] = plain
    return [
        helper.make_node("MatMul", [layer.input, layer.module + DOWN], [low]),
        helper.make_node("MatMul", [low, layer.module + UP], [change]),
        helper.make_node("Add", [plain, change], [output]),
    ]


def _add_input(graph: GraphProto, name: str, element: int, shape: tuple[int, int]) -> None:
    """An input of any rank, which is 0 where it is left out."""
    dims = [size or None for size in shape]
    graph.input.append(helper.make_tensor_value_info(name, element, dims))
    graph.initializer.append(helper.make_tensor(name, element, shape, b"", raw=True))

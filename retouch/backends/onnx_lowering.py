"""Lowers a typed graph for ONNX Runtime's CPU, which multiplies float32 only. The numbers stay the
same in wider storage.

Weights become float32, quantised ones by the graph's DequantizeLinear. TensorRT's dynamic
quantisation becomes a function of standard operators. E2M1 numbers, which the runtime lacks, are
stored as E4M3, which has all sixteen. Outputs in bfloat16 are rounded to it, so results are those
of bfloat16 hardware with sums in float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper, parser

BF16 = TensorProto.BFLOAT16
FLOAT = TensorProto.FLOAT
# operators with exact results: they move numbers, or multiply them by a power of two
EXACT = {
    "Reshape",
    "Transpose",
    "Concat",
    "Slice",
    "Split",
    "Gather",
    "Unsqueeze",
    "Squeeze",
    "Expand",
    "Identity",
    "DequantizeLinear",
}

# block_scales = E4M3(amax / 6 / scale); values = E2M1(x / (block_scales × scale)). Steps of E2M1
# are 0.5 up to 2, 1 up to 4, then 2, and Round goes to even, as E2M1 does. 17 is FLOAT8E4M3FN
DYNAMIC_QUANTIZE = """
<domain: "trt", opset_import: ["" : 23]>
TRT_FP4DynamicQuantize <axis, block_size, scale_type> (x, scale) => (values, block_scales)
{
    zero = Constant <value_float: float = 0.0> ()
    half = Constant <value_float: float = 0.5> ()
    one = Constant <value_float: float = 1.0> ()
    two = Constant <value_float: float = 2.0> ()
    four = Constant <value_float: float = 4.0> ()
    six = Constant <value_float: float = 6.0> ()
    largest_scale = Constant <value_float: float = 448.0> ()
    last = Constant <value_ints: ints = [-1]> ()
    block = Constant <value_ints: ints = [-1, 16]> ()
    wide = Cast <to: int = 1> (x)
    shape = Shape (wide)
    lead = Shape <start: int = 0, end: int = -1> (wide)
    blocked = Concat <axis: int = 0> (lead, block)
    blocks = Reshape (wide, blocked)
    sizes = Abs (blocks)
    largest = ReduceMax <keepdims: int = 1> (sizes, last)
    sixth = Div (largest, six)
    wanted = Div (sixth, scale)
    capped = Min (wanted, largest_scale)
    flat = Squeeze (capped, last)
    block_scales = Cast <to: int = 17> (flat)
    rounded_scale = Cast <to: int = 17> (capped)
    unit = Cast <to: int = 1> (rounded_scale)
    step = Mul (unit, scale)
    some = Greater (step, zero)
    safe = Where (some, step, one)
    ratio = Div (blocks, safe)
    number = Where (some, ratio, zero)
    magnitude = Abs (number)
    kept = Min (magnitude, six)
    below_four = Less (kept, four)
    below_two = Less (kept, two)
    coarse = Where (below_four, one, two)
    grid = Where (below_two, half, coarse)
    counted = Div (kept, grid)
    even = Round (counted)
    size = Mul (even, grid)
    sign = Sign (number)
    signed = Mul (size, sign)
    whole = Reshape (signed, shape)
    values = Cast <to: int = 17> (whole)
}
"""


def load(path: Path, rounded: bool = True) -> ModelProto:
    """The graph in `path`, with its weights, lowered."""
    return lower(onnx.load(path), rounded)


def lower(model: ModelProto, rounded: bool = True) -> ModelProto:
    """Change `model` in place; inputs and outputs in bfloat16 become float32.

    Without `rounded` the arithmetic is float32 throughout, which shows a graph's structure without
    its rounding."""
    types = _types(model)
    _multiply_permutations(model)
    _fold_weights(model)
    nodes = []
    for node in model.graph.node:
        nodes += _lowered(node, [types.get(name) == BF16 for name in node.output], rounded)
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    for tensor in model.graph.initializer:
        if tensor.data_type == BF16:
            _widen(tensor)
    for value in (*model.graph.input, *model.graph.output):
        if value.type.tensor_type.elem_type == BF16:
            value.type.tensor_type.elem_type = FLOAT
    if any(node.domain == "trt" for node in nodes):
        model.functions.append(parser.parse_function(DYNAMIC_QUANTIZE))
    return model


def _types(model: ModelProto) -> dict[str, int]:
    values = (*model.graph.value_info, *model.graph.input, *model.graph.output)
    return {value.name: value.type.tensor_type.elem_type for value in values}


def _lowered(node: NodeProto, narrow: list[bool], rounded: bool) -> list[NodeProto]:
    """The node in float32, and a rounding for every output that was bfloat16."""
    for attribute in node.attribute:
        if attribute.type == AttributeProto.TENSOR and attribute.t.data_type == BF16:
            _widen(attribute.t)
        elif node.op_type == "Cast" and attribute.name == "to" and attribute.i == BF16:
            attribute.i = FLOAT
    nodes = [node]
    if rounded and node.op_type not in EXACT:
        for index, name in enumerate(node.output):
            if narrow[index]:
                node.output[index] = f"{name}/exact"
                short = f"{name}/bfloat16"
                nodes += [
                    helper.make_node("Cast", [f"{name}/exact"], [short], to=BF16),
                    helper.make_node("Cast", [short], [name], to=FLOAT),
                ]
    return nodes


def _fold_weights(model: ModelProto) -> None:
    """Replace every DequantizeLinear of constants by its result, which the runtime would compute at
    every run."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    kept = []
    for node in model.graph.node:
        if node.op_type != "DequantizeLinear" or not {*node.input} <= constants.keys():
            kept.append(node)
            continue
        values, scale = (
            numpy_helper.to_array(constants[name]).astype(np.float32) for name in node.input[:2]
        )
        if scale.ndim:
            scale = scale.repeat(values.shape[-1] // scale.shape[-1], -1)
        constants[node.output[0]] = numpy_helper.from_array(values * scale, node.output[0])
    used = {name for node in kept for name in node.input}
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(kept)
    model.graph.initializer.extend(tensor for name, tensor in constants.items() if name in used)


def _multiply_permutations(model: ModelProto) -> None:
    """Replace every Gather that permutes the last axis by a product with a permutation matrix. The
    result is the same, and the runtime's Gather is eight times slower."""
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if (
            node.op_type != "Gather"
            or node.input[1] not in constants
            or [a.i for a in node.attribute] != [-1]
        ):
            continue
        indices = numpy_helper.to_array(constants[node.input[1]])
        if indices.ndim == 1 and np.array_equal(np.sort(indices), np.arange(len(indices))):
            matrix = numpy_helper.from_array(
                np.eye(len(indices), dtype=np.float32)[:, indices], f"{node.output[0]}/moves"
            )
            model.graph.initializer.append(matrix)
            node.CopyFrom(
                helper.make_node("MatMul", [node.input[0], matrix.name], [node.output[0]])
            )


def _widen(tensor: TensorProto) -> None:
    tensor.CopyFrom(
        numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name)
    )

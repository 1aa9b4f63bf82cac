"""Which bfloat16 operators ONNX Runtime's CUDA provider has, and a graph without the others.

The list is that of the kernel classes in libonnxruntime_providers_cuda.so of onnxruntime-gpu 1.31.
It has no bfloat16 kernel of Pow, Reciprocal, Pad, Resize, InstanceNormalization, Round or
comparisons. Those are computed in float32 between two casts, which rounds as the operator would."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, shape_inference

BF16 = TensorProto.BFLOAT16
FLOAT = TensorProto.FLOAT
# kernels with a bfloat16 template
COMPUTING = {
    "Abs",
    "Add",
    "Attention",
    "AveragePool",
    "Conv",
    "Cos",
    "Div",
    "Erf",
    "Exp",
    "Gelu",
    "Gemm",
    "LayerNormalization",
    "MatMul",
    "Max",
    "Min",
    "Mul",
    "Neg",
    "RMSNormalization",
    "ReduceMean",
    "ReduceSum",
    "Relu",
    "RotaryEmbedding",
    "Sigmoid",
    "Sign",
    "Sin",
    "Softmax",
    "Softplus",
    "Sqrt",
    "Sub",
    "Sum",
    "Tanh",
    "Where",
}
# kernels for any type of this size, which move numbers or read a shape
MOVING = {
    "Cast",
    "CastLike",
    "Concat",
    "Expand",
    "Gather",
    "GatherElements",
    "Identity",
    "Reshape",
    "ScatterElements",
    "Shape",
    "Size",
    "Slice",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
}
KERNELS = COMPUTING | MOVING
SUFFIX = "/float32"


def load(path: Path) -> ModelProto:
    """The graph in `path` for CUDA. Its weights stay in their file."""
    return lower(onnx.load(path, load_external_data=False))


def lower(model: ModelProto) -> ModelProto:
    """A copy of `model` in which no operator without a bfloat16 kernel has a bfloat16 tensor.

    Inputs, outputs and weights keep their types."""
    typed = types(model)
    lowered = ModelProto()
    lowered.CopyFrom(typed)
    narrow = {name for name, kind in _types_by_name(typed).items() if kind == BF16}
    del lowered.graph.node[:]
    for node in typed.graph.node:
        lowered.graph.node.extend(_lowered(node, narrow))
    return lowered


def lacking(model: ModelProto) -> dict[str, set[str]]:
    """The operators of `model` with a bfloat16 tensor and without a kernel, and their nodes."""
    kinds = _types_by_name(types(model))
    result: dict[str, set[str]] = {}
    for node in model.graph.node:
        is_narrow = any(kinds.get(name) == BF16 for name in (*node.input, *node.output))
        if is_narrow and node.op_type not in KERNELS:
            result.setdefault(node.op_type, set()).add(node.name)
    return result


def types(model: ModelProto) -> ModelProto:
    """A copy of `model` with the inferred types and shapes of all values. The exporter leaves some
    out."""
    bare = ModelProto()
    bare.CopyFrom(model)
    del bare.graph.value_info[:]
    return shape_inference.infer_shapes(bare)


def _types_by_name(model: ModelProto) -> dict[str, int]:
    graph = model.graph
    values = (*graph.value_info, *graph.input, *graph.output)
    kinds = {value.name: value.type.tensor_type.elem_type for value in values}
    return kinds | {tensor.name: tensor.data_type for tensor in graph.initializer}


def _lowered(node: NodeProto, narrow: set[str]) -> list[NodeProto]:
    """The node, in float32 between casts where it has no bfloat16 kernel."""
    names = {*node.input, *node.output} & narrow
    if node.op_type in KERNELS or not names:
        return [node]
    wide = NodeProto()
    wide.CopyFrom(node)
    before = []
    after = []
    for place, name in enumerate(node.input):
        if name in narrow:
            wide.input[place] = f"{node.output[0]}/{place}{SUFFIX}"
            before.append(helper.make_node("Cast", [name], [wide.input[place]], to=FLOAT))
    for place, name in enumerate(node.output):
        if name in narrow:
            wide.output[place] = f"{name}{SUFFIX}"
            after.append(helper.make_node("Cast", [wide.output[place]], [name], to=BF16))
    return [*before, wide, *after]

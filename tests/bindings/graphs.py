"""Two small graphs with the denoiser's kinds of inputs, bfloat16 inside, in all three lanes."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx_ir as ir
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper, shape_inference

from retouch.artifacts.onnx_scopes import SCOPES
from retouch.backends.onnx_lowering import lower
from retouch_export.quantise import quantise
from retouch_export.ranges import Range
from retouch_export.recipe import Recipe, Rounding

WIDTH = 32
BLOCK = "transformer_blocks.0"
RANGES = {f"{BLOCK}.{name}": Range(8.0) for name in ("to_q", "to_out", "ff")}
F32 = TensorProto.FLOAT
BF16 = TensorProto.BFLOAT16


def reference(precision: str) -> ModelProto:
    """tokens [B, R, 32] → k [B, R, 32] bfloat16, with one linear layer of the lane."""
    nodes = [
        helper.make_node("Cast", ["tokens"], ["x"], to=BF16),
        *_linear("x", "w_q", "k", f"{BLOCK}.to_q"),
    ]
    return _model(
        "reference",
        nodes,
        {"tokens": (F32, ["batch", "cells", WIDTH])},
        {"k": (BF16, ["batch", "cells", WIDTH])},
        ["w_q"],
        precision,
    )


def step(precision: str) -> ModelProto:
    """tokens [B, N, 32], timestep [B], k [B, R, 32] bfloat16 → velocity [B, N, 32]: an embedder,
    attention, two layers of the lane."""
    nodes = [
        helper.make_node("Cast", ["tokens"], ["x"], to=BF16),
        *_linear("x", "w_in", "h", "x_embedder"),
        helper.make_node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["h", "kt"], ["scores"], name="scores"),
        helper.make_node("Softmax", ["scores"], ["shares"], axis=-1),
        helper.make_node("MatMul", ["shares", "k"], ["seen"], name="seen"),
        *_linear("seen", "w_out", "out", f"{BLOCK}.to_out"),
        *_linear("out", "w_ff", "ff", f"{BLOCK}.ff"),
        helper.make_node("Cast", ["ff"], ["wide"], to=F32),
        helper.make_node("Unsqueeze", ["timestep", "axes"], ["t"]),
        helper.make_node("Mul", ["wide", "t"], ["velocity"]),
    ]
    inputs = {
        "tokens": (F32, ["batch", "region", WIDTH]),
        "timestep": (F32, ["batch"]),
        "k": (BF16, ["batch", "cells", WIDTH]),
    }
    outputs = {"velocity": (F32, ["batch", "region", WIDTH])}
    return _model("step", nodes, inputs, outputs, ["w_in", "w_out", "w_ff"], precision)


def on_cpu(model: ModelProto) -> ModelProto:
    """The same graph for ONNX Runtime's CPU."""
    return lower(ModelProto.FromString(model.SerializeToString()))


def _linear(source: str, weight: str, output: str, module: str) -> list[NodeProto]:
    turn = helper.make_node("Transpose", [weight], [f"{weight}/columns"], perm=[1, 0])
    node = helper.make_node("MatMul", [source, f"{weight}/columns"], [output], name=module)
    scopes = node.metadata_props.add()
    scopes.key = SCOPES
    scopes.value = repr(["", f"model.{module}", "linear"])
    return [turn, node]


def _model(
    name: str, nodes: list, inputs: dict, outputs: dict, weights: list[str], precision: str
) -> ModelProto:
    rng = np.random.default_rng(0)
    tensors = [
        numpy_helper.from_array(
            (rng.standard_normal((WIDTH, WIDTH)) / np.sqrt(WIDTH)).astype(ml_dtypes.bfloat16),
            weight,
        )
        for weight in weights
    ]
    if any("axes" in node.input for node in nodes):
        tensors.append(numpy_helper.from_array(np.array([1, 2]), "axes"))
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(name, *about) for name, about in inputs.items()],
        [helper.make_tensor_value_info(name, *about) for name, about in outputs.items()],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    typed = ir.from_proto(shape_inference.infer_shapes(model))
    quantise(typed, precision, RANGES, Recipe(Rounding.SEARCH, tail=0))
    return ir.to_proto(typed)

"""Quantised graphs: what is in them, and that ONNX Runtime's lowered ones compute what ONNX's reference does."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from export.formats import BLOCK, E2M1, E2M1_MAX, E4M3, E4M3_MAX
from export.lower import lower
from export.policy import Tier, tier_of
from export.quantise import quantise

WIDTH, HIDDEN = 32, 48


class TRT_FP4DynamicQuantize(OpRun):
    """TensorRT's formula in numpy, with ml_dtypes' own rounding."""

    op_domain = "trt"

    def _run(self, x, scale, axis=None, block_size=None, scale_type=None):
        blocks = x.astype(np.float32).reshape(*x.shape[:-1], -1, BLOCK)
        steps = np.minimum(np.abs(blocks).max(-1) / E2M1_MAX / scale, E4M3_MAX).astype(E4M3)
        unit = (steps.astype(np.float32) * scale)[..., None]
        ratio = np.divide(blocks, unit, out=np.zeros_like(blocks), where=unit > 0)
        return np.clip(ratio, -E2M1_MAX, E2M1_MAX).astype(E2M1).reshape(x.shape), steps


@pytest.fixture()
def model():
    """Two linear layers that share their input, one after them, a modulation and an embedder."""
    rng = np.random.default_rng(0)

    def weight(name, *shape):
        return numpy_helper.from_array(rng.standard_normal(shape).astype(np.float32) / 6, name)

    def linear(kind, inputs, output, module, **attributes):
        node = helper.make_node(kind, inputs, [output], name=output, **attributes)
        scopes = node.metadata_props.add()
        scopes.key, scopes.value = "pkg.torch.onnx.name_scopes", repr(["", module, "linear"])
        return node

    nodes = [
        linear("MatMul", ["x", "w0"], "h", "model.x_embedder"),
        linear("MatMul", ["h", "w1"], "a", "model.transformer_blocks.0.attn.to_q"),
        linear("MatMul", ["h", "w2"], "b", "model.transformer_blocks.0.attn.to_k"),
        helper.make_node("Add", ["a", "b"], ["c"]),
        linear("MatMul", ["c", "w3"], "d", "model.transformer_blocks.0.ff.linear_out"),
        linear("Gemm", ["t", "w4"], "m", "model.single_stream_modulation.linear", transB=1),
        helper.make_node("Add", ["d", "m"], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "tokens", WIDTH]),
              helper.make_tensor_value_info("t", TensorProto.FLOAT, [1, WIDTH])]
    weights = [weight("w0", WIDTH, WIDTH), weight("w1", WIDTH, HIDDEN), weight("w2", WIDTH, HIDDEN),
               weight("w3", HIDDEN, WIDTH), weight("w4", WIDTH, WIDTH)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


BLOCK0 = "transformer_blocks.0"
AMAX = {f"{BLOCK0}.attn.to_q": 4.0, f"{BLOCK0}.attn.to_k": 4.0, f"{BLOCK0}.ff.linear_out": 8.0,
        "single_stream_modulation.linear": 3.0}


def feeds(seed=1):
    rng = np.random.default_rng(seed)
    return {"x": rng.standard_normal((2, 5, WIDTH)).astype(np.float32),
            "t": rng.standard_normal((1, WIDTH)).astype(np.float32)}


def run(model, inputs):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def types(model):
    return {tensor.name: tensor.data_type for tensor in model.graph.initializer}


def test_the_policy():
    assert tier_of("model.x_embedder", "fp4") is Tier.BF16 and tier_of("model.proj_out", "fp8") is Tier.BF16
    assert tier_of("model.norm_out.linear", "fp4") is Tier.BF16
    assert tier_of("transformer_blocks.3.norm1.linear", "fp4") is Tier.FP8  # FLUX.1's AdaLN
    assert tier_of("single_transformer_blocks.3.norm.linear", "fp4") is Tier.FP8
    assert tier_of("model.double_stream_modulation_img.linear", "fp4") is Tier.FP8
    assert tier_of("model.single_transformer_blocks.0.attn.to_out", "fp4") is Tier.NVFP4
    assert tier_of("model.single_transformer_blocks.0.attn.to_out", "bf16") is Tier.BF16


@pytest.mark.parametrize("precision, block", [("fp8", TensorProto.FLOAT8E4M3FN), ("fp4", TensorProto.FLOAT4E2M1)])
def test_what_is_in_the_graph(model, precision, block):
    made = quantise(model, precision, AMAX)
    held = types(made)
    assert held["w0"] == TensorProto.FLOAT and not {"w1", "w2", "w3", "w4"} & set(held), "nothing is left wide"
    narrow = "fp8" if precision == "fp8" else "fp4"
    assert [held[f"w{i}/{narrow}"] for i in (1, 2, 3)] == [block] * 3
    assert held["w4/fp8"] == TensorProto.FLOAT8E4M3FN
    shared = [node.name for node in made.graph.node if node.name == f"h/{narrow}"]
    assert len(shared) == 1, "an activation that two layers share is quantised once"
    assert types(model)["w1"] == TensorProto.FLOAT, "the given model stays"


@pytest.mark.parametrize("precision", ("fp8", "fp4"))
@pytest.mark.parametrize("seed", (1, 2))
def test_lowered_is_the_reference(model, precision, seed):
    made, inputs = quantise(model, precision, AMAX), feeds(seed)
    expected = ReferenceEvaluator(made, new_ops=[TRT_FP4DynamicQuantize]).run(None, inputs)[0]
    got = run(lower(made), inputs)
    assert np.abs(got - expected).max() <= 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize("precision, allowed", [("fp8", 0.08), ("fp4", 0.2)])
def test_the_loss_is_that_of_the_format(model, precision, allowed):
    exact, got = run(model, feeds()), run(lower(quantise(model, precision, AMAX)), feeds())
    error = np.linalg.norm(got - exact) / np.linalg.norm(exact)
    assert 1e-3 < error < allowed


def test_zeros_and_large_values_pass_through_the_dynamic_quantiser(model):
    inputs = feeds()
    inputs["x"][0] = 0
    inputs["x"][1] *= 1e4
    assert np.isfinite(run(lower(quantise(model, "fp4", AMAX)), inputs)).all()


def test_an_uncalibrated_activation_is_an_error(model):
    with pytest.raises(ValueError, match="no range for transformer_blocks.0.attn.to_q"):
        quantise(model, "fp8", {})

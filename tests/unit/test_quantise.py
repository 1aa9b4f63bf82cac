"""Quantised graphs: what is in them, and that ONNX Runtime's lowered ones compute what ONNX's
reference does."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from retouch.backends.onnx_lowering import lower
from retouch_export.formats import BLOCK, E2M1, E2M1_MAX, E4M3, E4M3_MAX
from retouch_export.gptq import products
from retouch_export.linear import linears
from retouch_export.policy import Tier, tier_of, tiers
from retouch_export.quantise import bytes_by_tier, quantise
from retouch_export.ranges import Range
from retouch_export.recipe import Recipe, Rounding, recipe_for

WIDTH = 32
HIDDEN = 48
FLOAT = TensorProto.FLOAT
BF16 = TensorProto.BFLOAT16


class TRT_FP4DynamicQuantize(OpRun):
    """TensorRT's formula in numpy, with ml_dtypes' own rounding."""

    op_domain = "trt"

    def _run(self, x, scale, axis=None, block_size=None, scale_type=None):
        blocks = x.astype(np.float32).reshape(*x.shape[:-1], -1, BLOCK)
        steps = np.minimum(np.abs(blocks).max(-1) / E2M1_MAX / scale, E4M3_MAX).astype(E4M3)
        unit = (steps.astype(np.float32) * scale)[..., None]
        ratio = np.divide(blocks, unit, out=np.zeros_like(blocks), where=unit > 0)
        return np.clip(ratio, -E2M1_MAX, E2M1_MAX).astype(E2M1).reshape(x.shape), steps


def network(kind=FLOAT, grid=None):
    """Two linear layers that share their input, one after them, a modulation and an embedder; all
    of type `kind`.

    With `grid` every weight is a small multiple of it, so that float32 sums are exact in any order.
    """
    rng = np.random.default_rng(0)
    nodes = []
    values = []
    weights = []

    def typed(array, name):
        return numpy_helper.from_array(array.astype(helper.tensor_dtype_to_np_dtype(kind)), name)

    def add(op, inputs, output, module="", **attributes):
        node = helper.make_node(op, inputs, [output], name=output, **attributes)
        scopes = node.metadata_props.add()
        scopes.key = "pkg.torch.onnx.name_scopes"
        scopes.value = repr(["", module, op])
        nodes.append(node)
        values.append(helper.make_tensor_value_info(output, kind, None))

    def linear(inputs, output, module, rows, columns):
        weight = (
            rng.standard_normal((rows, columns)) / 6
            if grid is None
            else rng.integers(-2, 3, (rows, columns)) * grid
        )
        weights.append(typed(weight, f"{module}.weight"))
        add("Transpose", [f"{module}.weight"], f"{module}/turned", perm=[1, 0])
        add("MatMul", [inputs, f"{module}/turned"], output, module)

    linear("x", "h", "model.x_embedder", WIDTH, WIDTH)
    linear("h", "a", "model.transformer_blocks.0.attn.to_q", HIDDEN, WIDTH)
    linear("h", "b", "model.transformer_blocks.0.attn.to_k", HIDDEN, WIDTH)
    add("Add", ["a", "b"], "c")
    linear("c", "d", "model.transformer_blocks.0.ff.linear_out", WIDTH, HIDDEN)
    weights.append(
        typed(
            rng.standard_normal((WIDTH, WIDTH)) / 6, "model.single_stream_modulation.linear.weight"
        )
    )
    add(
        "Gemm",
        ["t", "model.single_stream_modulation.linear.weight"],
        "m",
        "model.single_stream_modulation.linear",
        transB=1,
    )
    add("Add", ["d", "m"], "y")
    inputs = [
        helper.make_tensor_value_info("x", kind, ["batch", "tokens", WIDTH]),
        helper.make_tensor_value_info("t", kind, [1, WIDTH]),
    ]
    graph = helper.make_graph(
        nodes[:-1] + nodes[-1:], "g", inputs, [values.pop()], weights, value_info=values
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


BLOCK0 = "transformer_blocks.0"
LARGEST = {
    f"{BLOCK0}.attn.to_q": 4.0,
    f"{BLOCK0}.attn.to_k": 4.0,
    f"{BLOCK0}.ff.linear_out": 8.0,
    "single_stream_modulation.linear": 3.0,
}
WIDTHS = {f"{BLOCK0}.ff.linear_out": HIDDEN}
# the network has one block, which a tail would leave FP8
ALL_NARROW = Recipe(tail=0)


def ranges(known=True):
    """Of inputs whose channels go together, with products if they are `known`."""
    rng = np.random.default_rng(3)

    def seen(module):
        width = WIDTHS.get(module, WIDTH)
        return products(
            (rng.standard_normal((64, 8)) @ rng.standard_normal((8, width))).astype(np.float32)
        )

    return {
        module: Range(largest, seen(module) if known else ()) for module, largest in LARGEST.items()
    }


def quantised(precision, kind=FLOAT, grid=None, recipe=ALL_NARROW):
    model = ir.from_proto(network(kind, grid))
    quantise(model, precision, ranges(), recipe)
    return ir.to_proto(model)


def feeds(seed=1, kind=FLOAT, grid=None):
    rng = np.random.default_rng(seed)

    def numbers(*shape):
        values = rng.standard_normal(shape) if grid is None else rng.integers(-2, 3, shape) * grid
        return values.astype(helper.tensor_dtype_to_np_dtype(kind))

    return {"x": numbers(2, 5, WIDTH), "t": numbers(1, WIDTH)}


def run(model, inputs, rounded=True):
    session = onnxruntime.InferenceSession(
        lower(model, rounded).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {name: value.astype(np.float32) for name, value in inputs.items()})[0]


def referee(model, inputs):
    return (
        ReferenceEvaluator(model, new_ops=[TRT_FP4DynamicQuantize])
        .run(None, inputs)[0]
        .astype(np.float32)
    )


def types(model):
    return {tensor.name: tensor.data_type for tensor in model.graph.initializer}


def test_the_policy():
    assert tier_of("x_embedder", "fp4") is Tier.BF16 and tier_of("proj_out", "fp8") is Tier.BF16
    assert tier_of("norm_out.linear", "fp4") is Tier.BF16
    assert tier_of("transformer_blocks.3.norm1.linear", "fp4") is Tier.FP8  # FLUX.1's AdaLN
    assert tier_of("single_transformer_blocks.3.norm.linear", "fp4") is Tier.FP8
    assert tier_of("double_stream_modulation_img.linear", "fp4") is Tier.FP8
    assert tier_of("single_transformer_blocks.0.attn.to_out", "fp4") is Tier.NVFP4
    assert tier_of("single_transformer_blocks.0.attn.to_out", "bf16") is Tier.BF16


def test_linears_have_their_modules_names():
    weight_shapes = {
        linear.module: tuple(linear.weight.shape) for linear in linears(ir.from_proto(network()))
    }
    assert weight_shapes == {
        "x_embedder": (WIDTH, WIDTH),
        f"{BLOCK0}.attn.to_q": (HIDDEN, WIDTH),
        f"{BLOCK0}.attn.to_k": (HIDDEN, WIDTH),
        f"{BLOCK0}.ff.linear_out": (WIDTH, HIDDEN),
        "single_stream_modulation.linear": (WIDTH, WIDTH),
    }


@pytest.mark.parametrize("kind", (FLOAT, BF16))
@pytest.mark.parametrize(
    "precision, block", [("fp8", TensorProto.FLOAT8E4M3FN), ("fp4", TensorProto.FLOAT4E2M1)]
)
def test_what_is_in_the_graph(precision, block, kind):
    made = quantised(precision, kind)
    held = types(made)
    narrow = "fp8" if precision == "fp8" else "fp4"
    assert {name: tier for name, tier in held.items() if name.endswith(".weight")} == {
        "model.x_embedder.weight": kind
    }
    narrowed = [
        f"model.{BLOCK0}.attn.to_q",
        f"model.{BLOCK0}.attn.to_k",
        f"model.{BLOCK0}.ff.linear_out",
    ]
    assert [held[f"{module}.weight/{narrow}"] for module in narrowed] == [block] * 3
    assert held["model.single_stream_modulation.linear.weight/fp8"] == TensorProto.FLOAT8E4M3FN
    shared = [node.name for node in made.graph.node if node.name == f"h/{narrow}"]
    assert len(shared) == 1, "an activation that two layers share is quantised once"


def test_bytes_by_tier():
    whole = 4 * WIDTH * HIDDEN  # without the embedder's and the modulation's
    square = WIDTH * WIDTH

    def sizes(precision, recipe=ALL_NARROW):
        model = ir.from_proto(network(BF16))
        quantise(model, precision, ranges(), recipe)
        return bytes_by_tier(model)

    narrow = 3 * WIDTH * HIDDEN
    assert whole > narrow
    assert sizes("bf16") == {"bf16": 2 * (narrow + 2 * square)}
    assert sizes("fp8") == {"bf16": 2 * square, "fp8": narrow + square}
    assert sizes("fp4") == {
        "bf16": 2 * square,
        "fp8": square,
        "nvfp4": narrow // 2 + narrow // BLOCK,
    }
    assert sizes("fp4", Recipe(tail=1)) == sizes("fp8")


@pytest.mark.parametrize(
    "precision, recipe", [("fp8", ALL_NARROW)] + [("fp4", Recipe(how, tail=0)) for how in Rounding]
)
@pytest.mark.parametrize("seed", (1, 2))
def test_lowered_is_the_reference(precision, recipe, seed):
    made = quantised(precision, recipe=recipe)
    inputs = feeds(seed)
    expected = referee(made, inputs)
    assert np.abs(run(made, inputs) - expected).max() <= 1e-6 * np.abs(expected).max()


@pytest.mark.parametrize("precision", ("bf16", "fp8", "fp4"))
@pytest.mark.parametrize("seed", (1, 2))
def test_lowered_bfloat16_is_the_reference_bit_for_bit(precision, seed):
    """Where sums are exact in float32, so that their order cannot move a rounding."""
    made = quantised(precision, BF16, grid=1 / 4)
    inputs = feeds(seed, BF16, grid=1 / 2)
    expected = referee(made, inputs)
    assert len(np.unique(expected)) > 50
    np.testing.assert_array_equal(run(made, inputs), expected)


@pytest.mark.parametrize("precision", ("bf16", "fp8", "fp4"))
def test_lowered_bfloat16_is_within_roundings_of_the_reference(precision):
    made = quantised(precision, BF16)
    inputs = feeds(1, BF16)
    expected = referee(made, inputs)
    got = run(made, inputs)
    assert np.linalg.norm(got - expected) <= 2**-8 * np.linalg.norm(expected)
    assert (got == expected).mean() > 0.5


@pytest.mark.parametrize("precision", ("fp8", "fp4"))
def test_dequantised_numbers_are_bfloat16_numbers(precision):
    """So that a kernel may scale after it sums, and nothing is lost between NVFP4's float32 and the
    graph's bfloat16."""
    made = quantised(precision, BF16)
    lowered = lower(made)
    weights = [
        numpy_helper.to_array(tensor)
        for tensor in lowered.graph.initializer
        if tensor.name.endswith("/wide")
    ]
    assert len(weights) == 4
    bfloat16 = helper.tensor_dtype_to_np_dtype(BF16)
    for numbers in weights:
        np.testing.assert_array_equal(numbers.astype(bfloat16).astype(np.float32), numbers)


@pytest.mark.parametrize("precision, allowed", [("fp8", 0.08), ("fp4", 0.2)])
def test_the_loss_is_that_of_the_format(precision, allowed):
    exact = run(network(), feeds())
    got = run(quantised(precision), feeds())
    error = np.linalg.norm(got - exact) / np.linalg.norm(exact)
    assert 1e-3 < error < allowed


def test_without_rounding_a_bfloat16_graph_is_its_float32_self():
    inputs = feeds(1, BF16)
    weights = {
        tensor.name: numpy_helper.to_array(tensor).astype(np.float32)
        for tensor in network(BF16).graph.initializer
    }
    twin = network(FLOAT)
    for tensor in twin.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(weights[tensor.name], tensor.name))
    np.testing.assert_array_equal(run(network(BF16), inputs, rounded=False), run(twin, inputs))
    assert (run(network(BF16), inputs) != run(twin, inputs)).any()


def test_a_gather_that_only_moves_numbers_becomes_a_product_that_gives_the_same():
    swap = np.array([1, 0, 3, 2])
    half = np.array([0, 2])

    def build(indices):
        node = helper.make_node("Gather", ["x", "i"], ["y"], axis=-1)
        x, y = (
            helper.make_tensor_value_info(name, FLOAT, [None, size])
            for name, size in (("x", 4), ("y", len(indices)))
        )
        graph = helper.make_graph(
            [node], "moves", [x], [y], [numpy_helper.from_array(indices, "i")]
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)

    x = np.random.default_rng(0).standard_normal((3, 4), np.float32)
    for indices, op in ((swap, "MatMul"), (half, "Gather")):
        lowered = lower(build(indices))
        assert [node.op_type for node in lowered.graph.node] == [op]
        (y,) = onnxruntime.InferenceSession(lowered.SerializeToString()).run(None, {"x": x})
        np.testing.assert_array_equal(y, x[:, indices])


def test_zeros_and_large_values_pass_through_the_dynamic_quantiser():
    inputs = feeds()
    inputs["x"][0] = 0
    inputs["x"][1] *= 1e4
    assert np.isfinite(run(quantised("fp4"), inputs)).all()


def test_an_uncalibrated_activation_is_an_error():
    with pytest.raises(ValueError, match="no range for transformer_blocks.0.attn.to_q"):
        quantise(ir.from_proto(network()), "fp8", {}, ALL_NARROW)


def test_feedback_without_products_is_an_error():
    with pytest.raises(ValueError, match="has the range of transformer_blocks.0.attn.to_q alone"):
        quantise(ir.from_proto(network()), "fp4", ranges(known=False), ALL_NARROW)


def test_the_recipe_is_what_the_calibration_allows():
    assert recipe_for({"step": ranges()}) == Recipe(Rounding.FEEDBACK)
    assert recipe_for({"step": ranges(), "reference": ranges(known=False)}) == Recipe(
        Rounding.SEARCH
    )
    assert recipe_for({}) == Recipe(Rounding.SEARCH)


def test_the_tail_is_the_last_blocks_by_number():
    """Of single-stream blocks, which come last, where there are any; and only in the lane that
    would make them NVFP4."""
    double = [f"transformer_blocks.{number}.attn.to_q" for number in (0, 1, 9, 10)]
    single = [f"single_transformer_blocks.{number}.attn.to_out" for number in (2, 10)]
    others = ["proj_out", "single_transformer_blocks.10.norm.linear"]

    def narrowed(modules, precision, tail):
        return {
            module for module, tier in tiers(modules, precision, tail).items() if tier is Tier.NVFP4
        }

    assert narrowed(double + single + others, "fp4", 0) == {*double, *single}
    assert narrowed(double + single + others, "fp4", 1) == {*double, single[0]}
    assert narrowed(double + single + others, "fp4", 3) == {*double[:3]}
    assert narrowed(double, "fp4", 1) == {*double[:3]}
    assert tiers(double + single, "fp4", 1)[single[1]] is Tier.FP8
    assert tiers(double + single + others, "fp8", 1) == tiers(double + single + others, "fp8", 0)


def test_qwen_images_policy():
    names = (
        "attn.to_q",
        "attn.add_q_proj",
        "img_mlp.net.0.proj",
        "img_mlp.net.2",
        "txt_mlp.net.2",
        "img_mod.1",
        "txt_mod.1",
    )
    modules = [
        "img_in",
        "txt_in",
        "time_text_embed.timestep_embedder.linear_1",
        "norm_out.linear",
        "proj_out",
        *(f"transformer_blocks.{block}.{name}" for block in range(7) for name in names),
    ]

    def names_by_tier(precision, tail=0):
        by_tier = {tier: set() for tier in Tier}
        for module, tier in tiers(modules, precision, tail).items():
            by_tier[tier].add(module.removeprefix("transformer_blocks."))
        return by_tier

    fp8 = names_by_tier("fp8")
    fp4 = names_by_tier("fp4", tail=1)
    assert fp8[Tier.BF16] == {
        *modules[:5],
        *(
            f"{block}.{name}"
            for block in range(7)
            for name in ("img_mlp.net.2", "img_mod.1", "txt_mod.1")
        ),
    }
    assert fp4[Tier.BF16] == {
        *modules[:5],
        *(f"{block}.{name}" for block in (0, 1, 5, 6) for name in names),
    }
    assert fp4[Tier.NVFP4] == {f"{block}.{name}" for block in (2, 3) for name in names[:5]}
    assert fp4[Tier.FP8] == {f"{block}.{name}" for block in (2, 3) for name in names[5:]} | {
        f"4.{name}" for name in names
    }

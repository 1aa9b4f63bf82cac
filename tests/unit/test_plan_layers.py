"""Plans whose narrow layers became wide are found out, whichever TensorRT tells of them."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from onnx import TensorProto, helper

from retouch.artifacts.manifest import ArtifactError
from retouch_export.plan_layers import (
    CODE,
    GraphProducts,
    check,
    check_size,
    graph_products,
    plan_products,
)

XMMA = "sm90_xmma_gemm_{}_tn_n_tilesize128x128x64_stage4_warpsize2x2x1_tensor16x8x32"
FP4_KERNEL = (
    "cutlass3x_sm100_bstensorop_s256x128x64gemm_block_scaled_ue4m3xe2m1_ue4m3xe2m1_f32_bf16_bf16"
)


def ten(name, kind, types, tactic="", **more):
    """A layer as TensorRT 10 tells it."""
    inputs = [
        {"Name": "x", "Location": "Device", "Dimensions": [1, 8], "Format/Datatype": dtype}
        for dtype in types
    ]
    return {
        "Name": name,
        "LayerType": kind,
        "Inputs": inputs,
        "Outputs": inputs[:1],
        "TacticName": tactic,
        **more,
    }


def eleven(name, kind, types, tactic="", **more):
    """The same as TensorRT 11 tells it, which has split the type from the format."""
    inputs = [
        {
            "Name": "x",
            "Location": "Device",
            "Dimensions": [1, 8, 32],
            "Format": "Row major linear format",
            "DataType": dtype,
        }
        for dtype in types
    ]
    return {
        "Name": name,
        "LayerType": kind,
        "Inputs": inputs,
        "Outputs": inputs[:1],
        "TacticName": tactic,
        **more,
    }


@pytest.fixture(params=[ten, eleven])
def layer(request):
    return request.param


def report(layers, ten_bindings=True):
    tail = (
        {"Bindings": ["x"]} if ten_bindings else {"I/O Tensors": [{"Name": "x", "IOMode": "Input"}]}
    )
    return json.dumps({"Layers": layers, **tail})


@pytest.mark.parametrize(
    "kind, types, tactic, expected",
    [
        ("gemm", ["FP8", "FP8"], XMMA.format("e4m3bf16_e4m3f32_f32"), "fp8"),
        ("gemm", ["FP8", "FP8"], "", "fp8"),
        ("kgemm", ["Row major linear FP8 format", "BFloat16"], "__myl_Gemm_0x7c1d", "fp8"),
        ("gemm", ["FP4E2M1", "FP8E4M3"], FP4_KERNEL, "fp4"),
        ("CaskGemmMatrixMultiply", ["FP4", "FP8", "FP4", "FP8"], "", "fp4"),
        ("gemm", ["BFloat16", "BFloat16"], XMMA.format("bf16bf16_bf16f32_f32"), "wide"),
        ("gemm", ["BFloat16", "BFloat16"], "", "wide"),
        ("MatrixMultiply", ["Float", "Float"], "sm80_xmma_gemm_f32f32_tf32f32_f32", "wide"),
        (
            "gemm",
            ["BFloat16", "FP8"],
            XMMA.format("bf16bf16_bf16f32_f32"),
            "wide",
        ),  # a wide kernel that unpacks weights
        (
            "gemm",
            ["BFloat16", "BFloat16"],
            XMMA.format("bf16e4m3_bf16f32_f32"),
            "wide",
        ),  # one that writes FP8
        ("CaskConvolution", ["Row major linear FP16 format"], "", "wide"),
        ("mha", ["BFloat16"] * 3, "_gemm_mha_v2_0x0f", "attention"),
        ("kgen", ["BFloat16"], "__myl_MeanSubMul_0x1", None),
        ("Reformat", ["FP8"], "convert_e4m3_bf16", None),
    ],
)
def test_kernels_are_told_apart(layer, kind, types, tactic, expected):
    (counts,) = plan_products(report([layer("a", kind, types, tactic)], layer is ten))
    assert counts == ({expected: 1} if expected else {})


def test_weights_tell_where_the_kernel_does_not(layer):
    (counts,) = plan_products(
        report([layer("a", "CaskConvolution", ["Half"], Weights={"Type": "FP8", "Count": 4})])
    )
    assert counts == {"fp8": 1}


def test_tensorrt_profiles_are_counted_apart(layer):
    layers = [
        layer("a", "gemm", ["FP8"]),
        layer("b", "gemm", ["BFloat16"]),
        layer("a [profile 1]", "gemm", ["FP8"]),
        layer("b [profile 1]", "gemm", ["FP8"]),
    ]
    assert plan_products(report(layers)) == [{"fp8": 1, "wide": 1}, {"fp8": 2}]


def test_a_bare_list_of_layers_is_understood(layer):
    assert plan_products(json.dumps([layer("a", "gemm", ["FP8"])])) == [{"fp8": 1}]


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "unknown format"),
        ('{"Bindings": []}', "unknown format"),
        ('{"Layers": []}', "names only"),
        ('{"Layers": ["gemm_0"]}', "names only"),
    ],
)
def test_what_cannot_be_judged_is_refused(text, message):
    with pytest.raises(ArtifactError, match=message):
        plan_products(text)


GRAPH = GraphProducts(
    Counter(fp8=6, fp4=10, wide=4, attention=4), bytes=10_000_000, wide_bytes=30_000_000
)


@pytest.mark.parametrize(
    "plan",
    [
        dict(fp8=6, fp4=10, wide=8),
        dict(fp8=6, fp4=10, wide=6, attention=1),
        dict(fp8=2, fp4=4, wide=2, attention=2),  # q, k and v in one
    ],
)
def test_plans_as_narrow_as_their_graph_pass(plan):
    check(GRAPH, [Counter(plan)], "step")


@pytest.mark.parametrize(
    "plan, message",
    [
        (dict(fp8=6, wide=4), "no FP4 kernel, its graph has 10"),
        (dict(fp4=10, wide=4), "no FP8 kernel, its graph has 6"),
        (dict(fp8=6, fp4=9, wide=9), "has 9 wide matrix products, its graph 8"),
        (dict(fp8=6, fp4=9, wide=5, attention=2), "has 5 wide matrix products, its graph 4"),
    ],
)
def test_plans_that_became_wide_are_refused_in_any_profile(plan, message):
    with pytest.raises(ArtifactError, match=message):
        check(GRAPH, [GRAPH.products, Counter(plan)], "step")


@pytest.mark.parametrize(
    "weights, plan, passes",
    [
        (10_000_000, 12_000_000, True),
        (0, 12_000_000, True),
        (19_000_000, 19_000_000 + CODE, True),
        (21_000_000, 12_000_000, False),
        (0, 21_000_000 + CODE, False),
    ],
)
def test_a_plan_nearer_to_wide_weights_is_refused(weights, plan, passes):
    if passes:
        return check_size(GRAPH, weights, plan, "step")
    with pytest.raises(ArtifactError, match="narrow weights were stored wide.*--force"):
        check_size(GRAPH, weights, plan, "step")


def test_a_wide_graph_has_no_size_to_miss():
    check_size(GraphProducts(Counter(wide=3), 100, 100), 10**9, 10**10, "step")


def test_what_a_graph_asks():
    def tensor(name, kind, *dims):
        return TensorProto(name=name, data_type=kind, dims=dims)

    nodes = [
        helper.make_node("DequantizeLinear", ["w8", "s"], ["w8/wide"]),
        helper.make_node("MatMul", ["x", "w8/wide"], ["a"]),
        helper.make_node("DequantizeLinear", ["w4", "s4"], ["w4/wide"]),
        helper.make_node("Cast", ["w4/wide"], ["w4/cast"], to=TensorProto.BFLOAT16),
        helper.make_node("Transpose", ["w4/cast"], ["w4/turned"]),
        helper.make_node("MatMul", ["a", "w4/turned"], ["b"]),
        helper.make_node(
            "MatMul", ["b", "w4/turned"], ["c"]
        ),  # the same weight again: its bytes count once
        helper.make_node("Gemm", ["c", "w16"], ["d"]),
        helper.make_node("MatMul", ["d", "b"], ["y"]),
    ]
    weights = [
        tensor("w8", TensorProto.FLOAT8E4M3FN, 8, 16),
        tensor("s", TensorProto.FLOAT),
        tensor("w4", TensorProto.FLOAT4E2M1, 16, 16),
        tensor("s4", TensorProto.FLOAT8E4M3FN, 16, 1),
        tensor("w16", TensorProto.BFLOAT16, 16, 4),
    ]
    graph = graph_products(helper.make_model(helper.make_graph(nodes, "g", [], [], weights)))
    assert graph.products == {"fp8": 1, "fp4": 2, "wide": 1, "attention": 1}
    assert graph.bytes == 128 + 4 + 128 + 16 + 128
    assert graph.wide_bytes == graph.bytes + 128 + 384

"""Whether the matrix products of a plan are as narrow as those of its graph.

A build can succeed and run FP8 or FP4 weights in a wider type. TensorRT may merge layers, or run
the two products of an attention as one kernel, so a plan can have fewer products than its graph.
More wide products mean that narrow layers have become wide."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from onnx import ModelProto, NodeProto, TensorProto

from retouch.artifacts.manifest import ArtifactError

FP8 = "fp8"
FP4 = "fp4"
WIDE = "wide"
ATTENTION = "attention"
STORED: dict[int, str] = {
    TensorProto.FLOAT8E4M3FN: FP8,
    TensorProto.FLOAT4E2M1: FP4,
}  # types of a narrow product's weight
BITS: dict[int, int] = {
    TensorProto.FLOAT4E2M1: 4,
    TensorProto.FLOAT8E4M3FN: 8,
    TensorProto.BFLOAT16: 16,
    TensorProto.FLOAT16: 16,
    TensorProto.FLOAT: 32,
    TensorProto.INT32: 32,
    TensorProto.INT64: 64,
    TensorProto.DOUBLE: 64,
}
WIDE_BITS = 16
PRODUCTS = ("MatMul", "Gemm", "Conv", "ConvTranspose", "Einsum")
# nodes between a weight and its product
CARRIERS = ("DequantizeLinear", "Cast", "Transpose", "Reshape", "Identity")
CODE = 64 << 20  # bytes of kernels in a plan

# patterns in the inspector's report
FP4_NAME = re.compile(r"fp4|e2m1|float4", re.I)
FP8_NAME = re.compile(r"fp8|e4m3|float8", re.I)
WIDE_NAME = re.compile(r"b?f(p|loat)?(16|32)|half|float\b", re.I)
PRODUCT = re.compile(r"gemm|matmul|matrix_?multiply|conv(?!ert)", re.I)
FUSED = re.compile(r"mha|attention", re.I)
PROFILE = re.compile(r"\[profile (\d+)\]")
TYPES = {"format/datatype", "datatype", "format"}  # TensorRT 10 has the first, 11 the other two


@dataclass
class GraphProducts:
    """A graph's products by format; those of two activations count as attention. `bytes` are those
    of its weights, and `wide_bytes` those if all were wide."""

    products: Counter = field(default_factory=Counter)
    bytes: int = 0
    wide_bytes: int = 0


def graph_products(model: ModelProto) -> GraphProducts:
    """Count the products of `model`, which needs no external data."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    makers = {output: node for node in model.graph.node for output in node.output}
    out = GraphProducts()
    narrow = {}
    for node in model.graph.node:
        if node.op_type in PRODUCTS:
            sources = [
                source for name in node.input[:2] for source in _source(name, weights, makers)
            ]
            stored = [tensor for tensor in sources if tensor.data_type in STORED]
            wide = WIDE if sources else ATTENTION
            out.products[STORED[stored[0].data_type] if stored else wide] += 1
            narrow.update({tensor.name: tensor for tensor in stored})
    out.bytes = sum(_bytes(tensor, BITS.get(tensor.data_type, 8)) for tensor in weights.values())
    out.wide_bytes = out.bytes + sum(
        _bytes(tensor, WIDE_BITS) - _bytes(tensor, BITS[tensor.data_type])
        for tensor in narrow.values()
    )
    return out


def plan_products(report: str) -> list[Counter]:
    """Products by format for each profile of a plan, from the inspector's JSON of TensorRT 10 or
    11; ArtifactError.

    Attention in one kernel counts as attention; otherwise its products count as wide ones.
    """
    try:
        layers = json.loads(report)
        layers = layers["Layers"] if isinstance(layers, dict) else layers
    except (ValueError, KeyError):
        raise ArtifactError(
            "TensorRT's inspector returned an unknown format; the plan cannot be judged"
        ) from None
    if not layers or not all(isinstance(layer, dict) for layer in layers):
        raise ArtifactError(
            "TensorRT's inspector returned names only; the plan must be built with detailed "
            "profiling"
        )
    counts: dict[int, Counter] = {}
    for layer in layers:
        profile = PROFILE.search(layer.get("Name", ""))
        counts.setdefault(int(profile[1]) if profile else 0, Counter())[_format(layer)] += 1
    return [_products(counts[profile]) for profile in sorted(counts)]


def check(graph: GraphProducts, plan: list[Counter], name: str) -> None:
    """ArtifactError when narrow products of `graph` became wide in any profile of the plan."""
    for counts in plan:
        for narrow in (FP8, FP4):
            if graph.products[narrow] and not counts[narrow]:
                raise ArtifactError(
                    f"the plan of {name} has no {narrow.upper()} kernel, its graph has "
                    f"{graph.products[narrow]} {narrow.upper()} layers: TensorRT made them wide; "
                    "use the next wider lane on this machine"
                )
        most = graph.products[WIDE] + max(graph.products[ATTENTION] - 2 * counts[ATTENTION], 0)
        if counts[WIDE] > most:
            raise ArtifactError(
                f"the plan of {name} has {counts[WIDE]} wide matrix products, its graph {most}: "
                "TensorRT made narrow layers wide; use the next wider lane on this machine"
            )


def check_size(graph: GraphProducts, weight_bytes: int, plan_bytes: int, name: str) -> None:
    """ArtifactError when the plan's size is nearer to that of wide weights than to that of the
    graph's weights.

    `weight_bytes` is TensorRT's count, 0 when it is unknown. `plan_bytes` is the size of the
    file."""
    most = (graph.bytes + graph.wide_bytes) / 2
    if graph.wide_bytes > graph.bytes and (weight_bytes > most or plan_bytes > most + CODE):
        size = max(weight_bytes, plan_bytes)
        raise ArtifactError(
            f"the plan of {name} has {size / 1e6:.1f} MB, its graph's weights "
            f"{graph.bytes / 1e6:.1f} MB: narrow weights were stored wide; "
            "build fewer profiles, or use --force"
        )


def _source(
    name: str, weights: dict[str, TensorProto], makers: dict[str, NodeProto]
) -> list[TensorProto]:
    """The weight behind an input of a product, through nodes that only unpack it; empty for an
    activation."""
    while name in makers and makers[name].op_type in CARRIERS:
        name = makers[name].input[0]
    return [weights[name]] if name in weights else []


def _bytes(tensor: TensorProto, bits: int) -> int:
    count = 1
    for size in tensor.dims:
        count *= size
    return (count * bits + 7) // 8


def _format(layer: dict[str, Any]) -> str | None:
    """A product's format; None for other layers.

    The kernel's name decides, because a wide kernel may unpack narrow weights or write narrow
    outputs. Without a type in the name its inputs decide."""
    kernel = str(layer.get("TacticName", ""))
    kind = " ".join([str(layer.get("LayerType", "")), str(layer.get("ParameterType", "")), kernel])
    if FUSED.search(kind):
        return ATTENTION
    if not PRODUCT.search(kind):
        return None
    inputs = [
        value
        for entry in layer.get("Inputs", [])
        if isinstance(entry, dict)
        for key, value in entry.items()
        if key.lower() in TYPES
    ]
    weights = layer.get("Weights") or layer.get("weights") or {}
    return (
        _named(kernel)
        or _named(" ".join(map(str, [*inputs, weights.get("Type", "")])), any_place=True)
        or WIDE
    )


def _named(text: str, any_place: bool = False) -> str | None:
    """The format in a kernel's name. Its first type is the input's; with `any_place` a narrow type
    counts anywhere.

    Kernels for FP4 in blocks name E4M3, the type of their scales, first.
    """
    if FP4_NAME.search(text):
        return FP4
    narrow = FP8_NAME.search(text)
    wide = WIDE_NAME.search(text)
    if narrow and (any_place or not wide or narrow.start() < wide.start()):
        return FP8
    return WIDE if wide else None


def _products(counts: Counter) -> Counter:
    return Counter({kind: count for kind, count in counts.items() if kind})

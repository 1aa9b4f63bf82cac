"""A graph's linear layers in FP8 and NVFP4: what TensorRT fuses into narrow kernels, and ONNX Runtime runs lowered.

FP8: QuantizeLinear and DequantizeLinear around the activation, the weight as E4M3. NVFP4: the activation through
`trt::TRT_FP4DynamicQuantize`, the weight as E2M1 with E4M3 block scales. The graph's own type (float32 or bfloat16)
stays what it was everywhere else.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from export.formats import BLOCK, E4M3, fp8_scale, nvfp4_scale, to_fp8, to_nvfp4
from export.policy import Tier, tier_of

OPSET, IR = 23, 11  # the first in which DequantizeLinear takes E2M1
SCOPES, ROOT = "pkg.torch.onnx.name_scopes", "model."  # where exports name modules, and our wrappers' own attribute


@dataclass(frozen=True)
class Linear:
    """A MatMul with a weight [K, N] or a Gemm with one [N, K] (`transposed`), and its torch module's name."""

    node: NodeProto
    module: str
    weight: TensorProto
    transposed: bool

    @property
    def activation(self) -> str:
        return self.node.input[0]

    def rows(self) -> np.ndarray:
        """The weight as float32 [N, K]."""
        numbers = numpy_helper.to_array(self.weight).astype(np.float32)
        return numbers if self.transposed else numbers.T


def linears(model: ModelProto) -> Iterator[Linear]:
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in ("MatMul", "Gemm") and node.input[1] in weights:
            weight = weights[node.input[1]]
            transposed = any(a.name == "transB" and a.i for a in node.attribute)
            if len(weight.dims) == 2 and transposed == (node.op_type == "Gemm"):
                yield Linear(node, _module(node), weight, transposed)


def quantise(model: ModelProto, precision: str, amax: dict[str, float]) -> ModelProto:
    """A copy of `model` for the lane `precision`.

    `amax` holds the largest absolute value of the activation that enters each narrow layer, by the layer's module, as
    `export.calibrate` finds it; ValueError when one is missing.
    """
    out = ModelProto.FromString(model.SerializeToString())
    by_output = {linear.node.output[0]: linear for linear in linears(out)}
    writer, nodes = _Writer(amax), list(out.graph.node)
    for node in nodes:
        linear = by_output.get(node.output[0])
        tier = tier_of(linear.module, precision) if linear else Tier.BF16
        if tier is not Tier.BF16:
            writer.narrow(linear, tier)
        writer.nodes.append(node)
    del out.graph.node[:], out.graph.value_info[:]
    out.graph.node.extend(writer.nodes)
    used = {name for node in writer.nodes for name in node.input}
    kept = [tensor for tensor in out.graph.initializer if tensor.name in used]
    del out.graph.initializer[:]
    out.graph.initializer.extend(kept + list(writer.tensors.values()))
    _declare(out, dynamic=any(node.domain == "trt" for node in writer.nodes))
    return out


@dataclass
class _Writer:
    """Nodes in order and new initializers; an activation that several layers share is quantised once a tier."""

    amax: dict[str, float]
    nodes: list[NodeProto] = field(default_factory=list)
    tensors: dict[str, TensorProto] = field(default_factory=dict)
    done: dict[tuple[str, Tier], str] = field(default_factory=dict)

    def narrow(self, linear: Linear, tier: Tier) -> None:
        """Make the layer's two inputs narrow and wide again."""
        wide = linear.weight.data_type
        key = linear.activation, tier
        if key not in self.done:
            if linear.module not in self.amax:
                raise ValueError(f"the calibration has no range for {linear.module}; calibrate this checkpoint again")
            activation = self._fp8_activation if tier is Tier.FP8 else self._nvfp4_activation
            self.done[key] = activation(linear.activation, self.amax[linear.module], wide)
        weight = (self._fp8_weight if tier is Tier.FP8 else self._nvfp4_weight)(linear, wide)
        linear.node.input[0], linear.node.input[1] = self.done[key], weight

    def _fp8_activation(self, name: str, amax: float, wide: int) -> str:
        scale = self.tensor(f"{name}/scale", fp8_scale(amax), wide)
        zero = self.tensor(f"{name}/zero", np.zeros((), E4M3))
        narrow = self.node("QuantizeLinear", [name, scale, zero], f"{name}/fp8")
        return self.node("DequantizeLinear", [narrow, scale, zero], f"{name}/fp8/wide")

    def _nvfp4_activation(self, name: str, amax: float, wide: int) -> str:
        scale = self.tensor(f"{name}/scale4", nvfp4_scale(amax))
        narrow, steps = f"{name}/fp4", f"{name}/fp4/steps8"
        self.nodes.append(helper.make_node(
            "TRT_FP4DynamicQuantize", [name, scale], [narrow, steps], name=narrow, domain="trt", axis=-1,
            block_size=BLOCK, scale_type=TensorProto.FLOAT8E4M3FN))
        steps = self.node("DequantizeLinear", [steps, scale], f"{name}/fp4/steps")
        out = self.node("DequantizeLinear", [narrow, steps], f"{name}/fp4/wide", axis=-1, block_size=BLOCK)
        return self.widened(out, wide)

    def _fp8_weight(self, linear: Linear, wide: int) -> str:
        name, packed = linear.weight.name, to_fp8(numpy_helper.to_array(linear.weight).astype(np.float32))
        inputs = [self.tensor(f"{name}/fp8", packed.values), self.tensor(f"{name}/scale", packed.scale, wide)]
        return self.node("DequantizeLinear", inputs, f"{name}/wide")

    def _nvfp4_weight(self, linear: Linear, wide: int) -> str:
        name, packed = linear.weight.name, to_nvfp4(linear.rows())
        steps = self.node("DequantizeLinear", [self.tensor(f"{name}/steps8", packed.block_scales),
                                               self.tensor(f"{name}/scale", packed.scale)], f"{name}/steps")
        values = self.tensor(f"{name}/fp4", packed.values)
        out = self.node("DequantizeLinear", [values, steps], f"{name}/wide", axis=-1, block_size=BLOCK)
        out = self.widened(out, wide)
        return out if linear.transposed else self.node("Transpose", [out], f"{name}/turned", perm=[1, 0])

    def widened(self, name: str, wide: int) -> str:
        """NVFP4 is dequantised to float32; a bfloat16 graph goes on in bfloat16."""
        return name if wide == TensorProto.FLOAT else self.node("Cast", [name], f"{name}/cast", to=wide)

    def node(self, kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        return output

    def tensor(self, name: str, values: np.ndarray | np.float32, wide: int = TensorProto.FLOAT) -> str:
        array = np.asarray(values)
        if array.dtype == np.float32:
            array = array.astype(helper.tensor_dtype_to_np_dtype(wide))
        self.tensors[name] = numpy_helper.from_array(array, name)
        return name


def _module(node: NodeProto) -> str:
    """The torch module a node comes from: the last but one of its scopes, before the operation's own."""
    for entry in node.metadata_props:
        if entry.key == SCOPES:
            scopes = [scope for scope in ast.literal_eval(entry.value) if scope]
            return scopes[-2].removeprefix(ROOT) if len(scopes) > 1 else ""
    return ""


def _declare(model: ModelProto, dynamic: bool) -> None:
    model.ir_version = max(model.ir_version, IR)
    for opset in model.opset_import:
        if not opset.domain:
            opset.version = max(opset.version, OPSET)
    if dynamic:
        model.opset_import.append(helper.make_opsetid("trt", 1))

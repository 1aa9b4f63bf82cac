"""Quantisation of a typed graph's linear layers to FP8 and NVFP4, in nodes that TensorRT fuses into
narrow kernels. ONNX Runtime runs the graph lowered.

FP8: QuantizeLinear and DequantizeLinear around the activation, and an E4M3 weight. NVFP4:
`trt::TRT_FP4DynamicQuantize` for the activation, and an E2M1 weight with E4M3 block scales. The
rest of the graph keeps its type (bfloat16). Weights are packed one at a time when the graph is
written."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import onnx_ir as ir
from onnx_ir.passes import common

from retouch_export.linear import Linear, linears
from retouch_export.onnx_values import constant_of, dims_of, dtype_of
from retouch_export.policy import TRANSFORMER, Policy, Tier, tiers
from retouch_export.quantized_weight import PackedWeight, scalar
from retouch_export.ranges import Range
from retouch_export.recipe import Recipe
from retouch_export.scales import BLOCK, fp8_scale, nvfp4_scale

OPSET = 23
IR = 11  # the first version in which DequantizeLinear supports E2M1
NARROW = {ir.DataType.FLOAT4E2M1: Tier.NVFP4, ir.DataType.FLOAT8E4M3FN: Tier.FP8}


def quantise(
    model: ir.Model,
    precision: str,
    ranges: dict[str, Range],
    recipe: Recipe,
    policy: Policy = TRANSFORMER,
) -> None:
    """Change `model` to the lane `precision`, with its stage's `policy`.

    `ranges` are those of the input of each narrow layer, by module, as `retouch_export.calibrate`
    measures them. `recipe` is for the lane fp4. ValueError when a range is missing, or a layer's
    size does not fit its tier."""
    writer = _Writer(model.graph, ranges, recipe)
    layers = list(linears(model))
    tier_of = tiers((linear.module for linear in layers), precision, recipe.tail, policy)
    for linear in layers:
        tier = tier_of[linear.module]
        if tier is not Tier.BF16:
            writer.narrow(linear, tier)
    common.RemoveUnusedNodesPass()(model)
    model.ir_version = max(model.ir_version, IR)
    model.opset_imports[""] = max(model.opset_imports[""], OPSET)
    if any(node.domain == "trt" for node in model.graph):
        model.opset_imports["trt"] = 1


def bytes_by_tier(model: ir.Model) -> dict[str, int]:
    """Bytes of the exported weights by tier, without reading them. NVFP4's block scales count as
    nvfp4."""
    total: Counter = Counter()
    for name, value in model.graph.initializers.items():
        tensor = constant_of(value)
        if len(tensor.shape) and tensor.dtype.is_floating_point():
            tier = Tier.NVFP4 if name.endswith("/steps8") else NARROW.get(tensor.dtype, Tier.BF16)
            total[tier.value] += tensor.nbytes
    return dict(total)


@dataclass
class _Writer:
    """Inserts nodes before the layers that need them. An activation that several layers share is
    quantised once for each tier."""

    graph: ir.Graph
    ranges: dict[str, Range]
    recipe: Recipe
    done: dict[tuple[ir.Value, Tier], ir.Value] = field(default_factory=dict)

    def narrow(self, linear: Linear, tier: Tier) -> None:
        """Quantise and dequantise the layer's two inputs."""
        if linear.module not in self.ranges:
            raise ValueError(
                f"the calibration has no range for {linear.module}; calibrate this checkpoint again"
            )
        key = linear.activation, tier
        if tier is Tier.FP8:
            if key not in self.done:
                self.done[key] = self._fp8_activation(linear)
            weight = self._fp8_weight(linear)
        else:
            if linear.columns % BLOCK:
                raise ValueError(
                    f"{linear.module} sums over {linear.columns} numbers, which NVFP4 cannot hold: "
                    f"its blocks have {BLOCK}; "
                    "give it another tier in export/retouch_export/policy.py"
                )
            if self.recipe.rounding.needs_products and not self.ranges[linear.module].products:
                raise ValueError(
                    f"the calibration has the range of {linear.module} alone, and "
                    f"{self.recipe.rounding.value} needs its products; "
                    "calibrate again or take another rounding"
                )
            if key not in self.done:
                self.done[key] = self._nvfp4_activation(linear)
            weight = self._nvfp4_weight(linear)
        linear.node.replace_input_with(0, self.done[key])
        linear.node.replace_input_with(1, weight)

    def _fp8_activation(self, linear: Linear) -> ir.Value:
        wide = linear.activation
        name = linear.activation.name
        scale = self._constant(
            scalar(f"{name}/scale", fp8_scale(self.ranges[linear.module].largest), dtype_of(wide))
        )
        zero = self._constant(scalar(f"{name}/zero", 0, ir.DataType.FLOAT8E4M3FN))
        narrow = self._node(
            linear, "QuantizeLinear", [wide, scale, zero], f"{name}/fp8", dtype_of(zero)
        )
        return self._node(
            linear, "DequantizeLinear", [narrow, scale, zero], f"{name}/fp8/wide", dtype_of(wide)
        )

    def _nvfp4_activation(self, linear: Linear) -> ir.Value:
        wide = linear.activation
        name = linear.activation.name
        scale = self._constant(
            scalar(
                f"{name}/scale4", nvfp4_scale(self.ranges[linear.module].largest), ir.DataType.FLOAT
            )
        )
        values = ir.val(f"{name}/fp4", ir.DataType.FLOAT4E2M1)
        steps = ir.val(f"{name}/fp4/steps8", ir.DataType.FLOAT8E4M3FN)
        attributes = {"axis": -1, "block_size": BLOCK, "scale_type": int(ir.DataType.FLOAT8E4M3FN)}
        self.graph.insert_before(
            linear.node,
            ir.node(
                "TRT_FP4DynamicQuantize",
                [wide, scale],
                attributes,
                domain="trt",
                outputs=[values, steps],
                name=values.name,
            ),
        )
        return self._nvfp4_widened(linear, values, steps, scale, f"{name}/fp4")

    def _fp8_weight(self, linear: Linear) -> ir.Value:
        """An E4M3 weight in the product's own layout, so that DequantizeLinear comes directly
        before it."""
        wide = dtype_of(linear.activation)
        packed = PackedWeight(linear, self.ranges[linear.module], self.recipe)
        inputs = [self._constant(packed.fp8()), self._constant(packed.scale(Tier.FP8, wide))]
        return self._node(linear, "DequantizeLinear", inputs, f"{packed.name}/wide", wide)

    def _nvfp4_weight(self, linear: Linear) -> ir.Value:
        packed = PackedWeight(linear, self.ranges[linear.module], self.recipe)
        tensors = *packed.nvfp4(), packed.scale(Tier.NVFP4, ir.DataType.FLOAT)
        values, steps, scale = map(self._constant, tensors)
        name = packed.name
        out = self._nvfp4_widened(linear, values, steps, scale, name)
        return (
            self._node(linear, "Transpose", [out], f"{name}/turned", dtype_of(out), perm=[1, 0])
            if linear.turn
            else out
        )

    def _nvfp4_widened(
        self, linear: Linear, values: ir.Value, steps: ir.Value, scale: ir.Value, name: str
    ) -> ir.Value:
        """Dequantise NVFP4 to float32, and cast it to bfloat16 in a bfloat16 graph, which holds
        these numbers exactly."""
        steps = self._node(
            linear, "DequantizeLinear", [steps, scale], f"{name}/steps", ir.DataType.FLOAT
        )
        out = self._node(
            linear,
            "DequantizeLinear",
            [values, steps],
            f"{name}/wide",
            ir.DataType.FLOAT,
            axis=-1,
            block_size=BLOCK,
        )
        wide = dtype_of(linear.activation)
        return (
            out
            if wide is ir.DataType.FLOAT
            else self._node(linear, "Cast", [out], f"{name}/cast", wide, to=int(wide))
        )

    def _node(
        self,
        linear: Linear,
        kind: str,
        inputs: list[ir.Value],
        name: str,
        dtype: ir.DataType,
        **attributes: int | list[int],
    ) -> ir.Value:
        out = ir.val(name, dtype)
        self.graph.insert_before(
            linear.node, ir.node(kind, inputs, attributes, outputs=[out], name=name)
        )
        return out

    def _constant(self, tensor: ir.TensorProtocol) -> ir.Value:
        value = ir.val(tensor.name, tensor.dtype, dims_of(tensor), const_value=tensor)
        self.graph.register_initializer(value)
        return value

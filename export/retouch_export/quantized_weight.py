"""A linear layer's weight in a narrow format, as tensors that are computed when the graph is
written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import onnx_ir as ir

from retouch_export.formats import E2M1, E4M3, to_fp8, to_nvfp4
from retouch_export.gptq import factors, importance, to_nvfp4_with_feedback
from retouch_export.linear import Linear
from retouch_export.onnx_values import constant_of, dims_of, name_of
from retouch_export.policy import Tier
from retouch_export.ranges import Range
from retouch_export.recipe import Recipe, Rounding
from retouch_export.scales import BLOCK, fp8_scale, nvfp4_scale
from retouch_export.weights import release

CHUNK = 1 << 22  # numbers that are converted at a time; temporary arrays are several times as large


@dataclass(frozen=True)
class PackedWeight:
    """The packed weight of one layer. Its tensors are named after it: NAME/fp8, NAME/fp4,
    NAME/steps8 and NAME/scale.

    `range` is that of the layer's input.
    """

    linear: Linear
    range: Range
    recipe: Recipe

    @property
    def name(self) -> str:
        return name_of(self.linear.weight)

    def scale(self, tier: Tier, dtype: ir.DataType) -> ir.TensorProtocol:
        """The scale of the tensor, a scalar."""
        return ir.LazyTensor(
            lambda: scalar(f"{self.name}/scale", _scale(self.linear, tier), dtype),
            dtype,
            ir.Shape([]),
            name=f"{self.name}/scale",
        )

    def fp8(self) -> ir.TensorProtocol:
        """E4M3 values, [in, out] for a MatMul and [out, in] for a Gemm."""
        rows, columns = dims_of(self.linear.weight)
        turned = self.linear.turn is not None

        def make() -> ir.TensorProtocol:
            values = np.empty((rows, columns), E4M3)
            scale = _scale(self.linear, Tier.FP8)
            for part, numbers in _chunks(self.linear):
                values[part] = to_fp8(numbers, scale)
            return ir.tensor(np.ascontiguousarray(values.T) if turned else values)

        shape = ir.Shape([columns, rows] if turned else [rows, columns])
        return ir.LazyTensor(make, ir.DataType.FLOAT8E4M3FN, shape, name=f"{self.name}/fp8")

    def nvfp4(self) -> tuple[ir.TensorProtocol, ir.TensorProtocol]:
        """E2M1 values [out, in] and E4M3 block scales [out, in/16]."""
        rows, columns = dims_of(self.linear.weight)
        return (
            ir.LazyTensor(
                lambda: ir.tensor(_nvfp4(self)[0]),
                ir.DataType.FLOAT4E2M1,
                ir.Shape([rows, columns]),
                name=f"{self.name}/fp4",
            ),
            ir.LazyTensor(
                lambda: ir.tensor(_nvfp4(self)[1]),
                ir.DataType.FLOAT8E4M3FN,
                ir.Shape([rows, columns // BLOCK]),
                name=f"{self.name}/steps8",
            ),
        )


def scalar(name: str, number: float | np.float32, dtype: ir.DataType) -> ir.TensorProtocol:
    return ir.tensor(np.array(number, dtype.numpy()), dtype=dtype, name=name)


@lru_cache(maxsize=2)  # values and block scales are written one after the other
def _nvfp4(packed: PackedWeight) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = dims_of(packed.linear.weight)
    values = np.empty((rows, columns), E2M1)
    steps = np.empty((rows, columns // BLOCK), E4M3)
    convert = _rounding(packed, _scale(packed.linear, Tier.NVFP4))
    for part, numbers in _chunks(packed.linear):
        values[part], steps[part] = convert(numbers)
    return values, steps


def _rounding(
    packed: PackedWeight, scale: np.float32
) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The function from rows of the weight to their values and block scales."""
    rounding = packed.recipe.rounding
    inputs = packed.range.products
    if rounding is Rounding.FEEDBACK:
        return partial(to_nvfp4_with_feedback, scale=scale, spread=factors(inputs))
    weights = importance(inputs) if rounding is Rounding.WEIGHTED else None
    return partial(
        to_nvfp4, scale=scale, search=rounding is not Rounding.NEAREST, importance=weights
    )


@lru_cache(maxsize=2)
def _scale(linear: Linear, tier: Tier) -> np.float32:
    amax = max(float(np.abs(numbers).max()) for _, numbers in _chunks(linear))
    return fp8_scale(amax) if tier is Tier.FP8 else nvfp4_scale(amax)


def _chunks(linear: Linear) -> Iterator[tuple[slice, np.ndarray]]:
    """Slices of the weight's rows and their float32 numbers."""
    weight = constant_of(linear.weight)
    height = max(1, CHUNK // linear.columns)
    for top in range(0, dims_of(weight)[0], height):
        part = slice(top, top + height)
        yield part, weight.numpy()[part].astype(np.float32)
    release(weight)

"""A quantised graph for ONNX Runtime's CPU, which knows FP8 but not E2M1: the same numbers in other storage.

All sixteen E2M1 numbers are E4M3 numbers too, so E2M1 weights become E4M3 ones, and TensorRT's dynamic quantisation is
added to the model as a function of standard operators with E4M3 results. The DequantizeLinear nodes stay as they are.
"""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, TensorProto, numpy_helper, parser

from export.formats import E4M3

# block_scales = E4M3(amax / 6 / scale); values = E2M1(x / (block_scales × scale)). Steps of E2M1 are 0.5 up to 2, 1 up
# to 4, then 2, and Round goes to even, as E2M1 does. 17 is FLOAT8E4M3FN
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


def lower(model: ModelProto) -> ModelProto:
    """A copy of a float32 graph that `export.quantise` made, with the same results on ONNX Runtime's CPU."""
    out = ModelProto.FromString(model.SerializeToString())
    for tensor in out.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT4E2M1:
            numbers = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(numbers.astype(E4M3), tensor.name))
    if any(node.domain == "trt" for node in out.graph.node):
        out.functions.append(parser.parse_function(DYNAMIC_QUANTIZE))
    return out

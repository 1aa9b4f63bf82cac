"""A narrow lane's denoiser, from the bf16 lane's graphs: calibrated, quantised, lowered, and counted."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, TensorProto

from export.calibrate import Ranges
from export.lower import lower
from export.quantise import quantise

GRAPHS = ("reference.onnx", "step.onnx")
CALIBRATION = "calibration.json"
BITS = {TensorProto.FLOAT4E2M1: ("nvfp4", 4), TensorProto.FLOAT8E4M3FN: ("fp8", 8), TensorProto.BFLOAT16: ("bf16", 16),
        TensorProto.FLOAT: ("bf16", 16)}  # float32 in our graphs are bfloat16 numbers, lowered


def narrow(source: Path, staging: Path, precision: str, ranges: Ranges) -> dict[str, int]:
    """Write the lane's files to `staging`: per graph `X.onnx` for ONNX Runtime and `X.tensorrt.onnx`; bytes by tier.

    `source` is the bf16 lane's folder, whose preview map and settings are the lane's too.
    """
    total: Counter = Counter()
    for name in GRAPHS:
        made = quantise(onnx.load(source / name), precision, ranges[name])
        onnx.save(made, staging / name.replace(".onnx", ".tensorrt.onnx"))
        onnx.save(lower(made), staging / name)
        if name == "step.onnx":  # it holds every weight that `reference` has
            total.update(bytes_by_tier(made))
    (staging / CALIBRATION).write_text(json.dumps(ranges, indent=1, sort_keys=True) + "\n")
    return dict(total)


def bytes_by_tier(model: ModelProto) -> dict[str, int]:
    """Bytes of the weights as they are shipped. NVFP4's block scales count as nvfp4, bf16 is two bytes a number."""
    total: Counter = Counter()
    for tensor in model.graph.initializer:
        if len(tensor.dims) and tensor.data_type in BITS:
            tier, bits = BITS[tensor.data_type]
            tier = "nvfp4" if tensor.name.endswith("/steps8") else tier
            total[tier] += int(np.prod(tensor.dims)) * bits // 8
    return dict(total)

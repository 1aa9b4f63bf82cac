"""Facts of machines with GPUs, as `retouch.util.gpu_machine` reads them, and of a plan."""

from __future__ import annotations

from dataclasses import replace

from retouch.util.gpu_machine import Gpu, GpuMachine

H200 = Gpu("NVIDIA H200", (9, 0), 150 << 30, 140 << 30)
A100 = Gpu("NVIDIA A100", (8, 0), 80 << 30, 79 << 30)  # without matrix units for FP8
PACKAGES = {
    "tensorrt": "10.16.1",
    "cuda-bindings": "13.0.1",
    "onnxruntime-gpu": "1.31.1",
    "torch": "2.11.0",
    "diffusers": "0.42.1",
    "transformers": "5.17.0",
}
FULL = GpuMachine((H200,), "570.86.15", PACKAGES, "13.0")
MIB = 1 << 20
PLAN = {
    "gpu": "NVIDIA H200",
    "capability": [9, 0],
    "tensorrt": "10.16.1",
    "precision": "bf16",
    "profiles": [],
    "bytes": 30 * MIB,
    "weight_bytes": 20 * MIB,
    "layers": {},
}


def without(*packages: str) -> GpuMachine:
    """A machine that lacks these packages alone."""
    return replace(
        FULL, packages={name: value for name, value in PACKAGES.items() if name not in packages}
    )

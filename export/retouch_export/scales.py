"""The scale of a tensor in FP8 (E4M3) and in NVFP4 (E2M1), by its largest number."""

from __future__ import annotations

import numpy as np

E4M3_MAX = np.float32(448)
E2M1_MAX = np.float32(6)
BLOCK = 16  # numbers along the last axis that share a scale in NVFP4, beside the tensor's


def fp8_scale(amax: float) -> np.float32:
    """The smallest power of two that brings `amax` to at most the largest E4M3 number.

    A power of two costs no precision, and numbers × scale are exact bfloat16 numbers. So a kernel
    may multiply before or after it sums."""
    return _power(amax, E4M3_MAX)


def nvfp4_scale(amax: float) -> np.float32:
    """The tensor's scale, a power of two, with which the scale of a block with maximum `amax` is an
    E4M3 number."""
    return _power(amax, E2M1_MAX * E4M3_MAX)


def _power(amax: float, largest: np.float32) -> np.float32:
    return np.float32(2.0) ** np.ceil(np.log2(np.float32(max(amax, 1e-12)) / largest))

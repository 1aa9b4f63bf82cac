"""The narrow number formats in numpy: FP8 (E4M3, one scale a tensor) and NVFP4 (E2M1, a scale for every 16 numbers).

Rounding is ml_dtypes' (to nearest, ties to even); what is defined here are the scales. NVFP4 follows TensorRT's and
Model Optimizer's layout: block scales are E4M3 numbers themselves, in units of one float32 scale a tensor.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np

E4M3, E2M1 = np.dtype(ml_dtypes.float8_e4m3fn), np.dtype(ml_dtypes.float4_e2m1fn)
E4M3_MAX, E2M1_MAX = np.float32(448), np.float32(6)
BLOCK = 16  # numbers along the last axis that share a scale
SMALLEST = np.float32(2**-9)  # of E4M3 above zero; TensorRT refuses a scale of zero
CLIPS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)  # shares of a block's maximum that the search tries



def fp8_scale(amax: float) -> np.float32:
    """The smallest power of two that brings `amax` to at most the largest E4M3 number.

    A power of two costs a floating-point format no precision, and numbers × scale are bfloat16 numbers exactly: it does not
    matter whether a kernel multiplies before or after it sums.
    """
    return _power(amax, E4M3_MAX)


def nvfp4_scale(amax: float) -> np.float32:
    """The tensor's scale, again a power of two, with which a block of maximum `amax` has an E4M3 number for its scale."""
    return _power(amax, E2M1_MAX * E4M3_MAX)


def to_fp8(numbers: np.ndarray, scale: np.float32) -> np.ndarray:
    """E4M3 numbers of `numbers` in units of `scale`."""
    return _saturate(numbers / scale, E4M3_MAX).astype(E4M3)


def to_nvfp4(weight: np.ndarray, scale: np.float32, search: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """E2M1 values [N, K] and E4M3 block scales [N, K/16] of a float32 weight [N, K], K a multiple of 16.

    With `search` every block takes, of a few scales below its maximum's, the one with the smallest squared error: to
    clip the largest number a little makes the steps of the fifteen others finer.
    """
    blocks = weight.reshape(len(weight), -1, BLOCK)
    best, least = _rounded(blocks, scale, 1.0)
    for clip in CLIPS[1:] if search else ():
        other, error = _rounded(blocks, scale, clip)
        better = error < least
        best = np.where(better[..., None], other[0], best[0]), np.where(better, other[1], best[1])
        least = np.minimum(error, least)
    return best[0].reshape(weight.shape), best[1]


def from_nvfp4(values: np.ndarray, block_scales: np.ndarray, scale: np.float32) -> np.ndarray:
    """The float32 numbers [N, K] that `to_nvfp4` rounded to."""
    return values.astype(np.float32) * (block_scales.astype(np.float32) * scale).repeat(BLOCK, -1)


def _rounded(blocks: np.ndarray, scale: np.float32, clip: float) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
    """E2M1 values [N, B, 16] with the E4M3 scales [N, B], never zero, that they were rounded with; the squared errors."""
    wanted = np.abs(blocks).max(-1) * np.float32(clip) / E2M1_MAX / scale
    steps = np.where(wanted == 0, 1, np.maximum(_saturate(wanted, E4M3_MAX).astype(E4M3).astype(np.float32), SMALLEST))
    unit = (steps * scale)[..., None]
    values = _saturate(blocks / unit, E2M1_MAX).astype(E2M1)
    error = np.square(values.astype(np.float32) * unit - blocks).sum(-1)
    return (values, steps.astype(E4M3)), error


def _power(amax: float, largest: np.float32) -> np.float32:
    return np.float32(2.0) ** np.ceil(np.log2(np.float32(max(amax, 1e-12)) / largest))


def _saturate(numbers: np.ndarray, largest: np.float32) -> np.ndarray:
    return np.clip(numbers, -largest, largest).astype(np.float32)

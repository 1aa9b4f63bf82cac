"""The narrow number formats in numpy: FP8 (E4M3, one scale a tensor) and NVFP4 (E2M1, a scale for every 16 numbers).

Rounding is ml_dtypes' (to nearest, ties to even); what is defined here are the scales. NVFP4 follows TensorRT's and
Model Optimizer's layout: block scales are E4M3 numbers themselves, in units of one float32 scale a tensor.
"""

from __future__ import annotations

from dataclasses import dataclass

import ml_dtypes
import numpy as np

E4M3, E2M1 = np.dtype(ml_dtypes.float8_e4m3fn), np.dtype(ml_dtypes.float4_e2m1fn)
E4M3_MAX, E2M1_MAX = np.float32(448), np.float32(6)
BLOCK = 16  # numbers along the last axis that share a scale
SMALLEST = np.float32(2**-9)  # of E4M3 above zero; TensorRT refuses a scale of zero
CLIPS = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7)  # shares of a block's maximum that the search tries


@dataclass(frozen=True)
class Fp8:
    """`values` E4M3 of any shape, `scale` float32: the numbers are values × scale."""

    values: np.ndarray
    scale: np.float32

    def numbers(self) -> np.ndarray:
        return self.values.astype(np.float32) * self.scale


@dataclass(frozen=True)
class Nvfp4:
    """`values` E2M1 [N, K], `block_scales` E4M3 [N, K/16], `scale` float32."""

    values: np.ndarray
    block_scales: np.ndarray
    scale: np.float32

    def numbers(self) -> np.ndarray:
        steps = self.block_scales.astype(np.float32) * self.scale
        return _blocks(self.values.astype(np.float32), steps).reshape(self.values.shape)


def fp8_scale(amax: float) -> np.float32:
    """The scale with which `amax` is the largest E4M3 number."""
    return np.float32(max(amax, 1e-12)) / E4M3_MAX


def nvfp4_scale(amax: float) -> np.float32:
    """The tensor's scale with which a block of maximum `amax` has the largest E4M3 number for its scale."""
    return np.float32(max(amax, 1e-12)) / (E2M1_MAX * E4M3_MAX)


def to_fp8(numbers: np.ndarray) -> Fp8:
    scale = fp8_scale(float(np.abs(numbers).max()))
    return Fp8(_saturate(numbers / scale, E4M3_MAX).astype(E4M3), scale)


def to_nvfp4(weight: np.ndarray, search: bool = True) -> Nvfp4:
    """A weight [N, K], K a multiple of 16; ValueError.

    With `search` every block takes, of a few scales below its maximum's, the one with the smallest squared error: to
    clip the largest number a little makes the steps of the fifteen others finer.
    """
    if weight.ndim != 2 or weight.shape[1] % BLOCK:
        raise ValueError(f"a weight of shape {weight.shape} cannot be NVFP4; it must be [N, K], "
                         f"K a multiple of {BLOCK}")
    scale = nvfp4_scale(float(np.abs(weight).max()))
    blocks = weight.astype(np.float32).reshape(len(weight), -1, BLOCK)
    best = _rounded(blocks, scale, 1.0)
    for clip in CLIPS[1:] if search else ():
        other = _rounded(blocks, scale, clip)
        better = _error(blocks, *other, scale) < _error(blocks, *best, scale)
        best = np.where(better[..., None], other[0], best[0]), np.where(better, other[1], best[1])
    return Nvfp4(best[0].reshape(weight.shape), best[1], scale)


def _rounded(blocks: np.ndarray, scale: np.float32, clip: float) -> tuple[np.ndarray, np.ndarray]:
    """E2M1 values [N, B, 16] and the E4M3 scales [N, B] that they were rounded with, never zero."""
    wanted = np.abs(blocks).max(-1) * np.float32(clip) / E2M1_MAX / scale
    steps = np.where(wanted == 0, 1, np.maximum(_saturate(wanted, E4M3_MAX).astype(E4M3).astype(np.float32), SMALLEST))
    values = _saturate(blocks / (steps * scale)[..., None], E2M1_MAX).astype(E2M1)
    return values, steps.astype(E4M3)


def _error(blocks: np.ndarray, values: np.ndarray, scales: np.ndarray, scale: np.float32) -> np.ndarray:
    again = values.astype(np.float32) * (scales.astype(np.float32) * scale)[..., None]
    return ((again - blocks) ** 2).sum(-1)


def _blocks(values: np.ndarray, steps: np.ndarray) -> np.ndarray:
    return values.reshape(*steps.shape, BLOCK) * steps[..., None]


def _saturate(numbers: np.ndarray, largest: np.float32) -> np.ndarray:
    return np.clip(numbers, -largest, largest).astype(np.float32)

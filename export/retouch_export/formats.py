"""The narrow number formats in numpy: FP8 (E4M3, one scale a tensor) and NVFP4 (E2M1, one scale for
16 numbers).

This module computes block scales; ml_dtypes rounds (to nearest, ties to even). NVFP4 has the layout
of TensorRT and Model Optimizer: block scales are E4M3 numbers in units of one float32 scale a
tensor."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from retouch_export.scales import BLOCK, E2M1_MAX, E4M3_MAX

E4M3 = np.dtype(ml_dtypes.float8_e4m3fn)
E2M1 = np.dtype(ml_dtypes.float4_e2m1fn)
SMALLEST = np.float32(2**-9)  # positive E4M3 number; TensorRT rejects a scale of zero
# E4M3 codes around the scale of a block's maximum: about 0.8 to 1.55 times as large
NEIGHBOURS = range(-2, 6)


def to_fp8(numbers: np.ndarray, scale: np.float32) -> np.ndarray:
    """Round `numbers` to E4M3, in units of `scale`."""
    return _saturate(numbers / scale, E4M3_MAX).astype(E4M3)


def to_nvfp4(
    weight: np.ndarray, scale: np.float32, search: bool = True, importance: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Round a float32 weight [N, K], K a multiple of 16, to E2M1 values [N, K] and E4M3 block
    scales [N, K/16].

    With `search` every block takes the scale with the smallest squared error, of those around its
    maximum's scale. Columns are weighted by `importance` [K]. A smaller scale clips the largest
    number and makes the steps of the others finer. A larger one puts it on 4, where steps are finer
    than at 6 (Cook et al., "Four Over Six")."""
    blocks = weight.reshape(len(weight), -1, BLOCK)
    counts = np.ones(weight.shape[-1:], np.float32) if importance is None else importance
    counts = counts.reshape(-1, BLOCK)
    held = _holding(blocks, scale)
    best = held
    least = _error(blocks, held, scale, counts)
    for offset in NEIGHBOURS if search else ():
        other = _neighbour(held, offset)
        error = _error(blocks, other, scale, counts)
        best = np.where(error < least, other, best)
        least = np.minimum(error, least)
    return _values(blocks, best, scale).reshape(weight.shape), best


def from_nvfp4(values: np.ndarray, block_scales: np.ndarray, scale: np.float32) -> np.ndarray:
    """The float32 numbers [N, K] that `to_nvfp4` rounded to."""
    return values.astype(np.float32) * (block_scales.astype(np.float32) * scale).repeat(BLOCK, -1)


def to_e2m1(numbers: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Round `numbers` to E2M1, in units of `unit`; larger numbers are clipped."""
    return _saturate(numbers / unit, E2M1_MAX).astype(E2M1)


def _holding(blocks: np.ndarray, scale: np.float32) -> np.ndarray:
    """E4M3 scales [N, B] above zero, with which the largest number of every block [N, B, 16] is
    about 6."""
    exact = np.abs(blocks).max(-1) / E2M1_MAX / scale
    return np.where(exact == 0, 1, np.maximum(_saturate(exact, E4M3_MAX), SMALLEST)).astype(E4M3)


def _neighbour(steps: np.ndarray, offset: int) -> np.ndarray:
    """The E4M3 numbers `offset` places after these, none of them zero, infinite or negative: codes
    are in order."""
    largest = E4M3_MAX.astype(E4M3).view(np.uint8)
    return (
        np.clip(steps.view(np.uint8).astype(np.int16) + offset, 1, largest)
        .astype(np.uint8)
        .view(E4M3)
    )


def _values(blocks: np.ndarray, steps: np.ndarray, scale: np.float32) -> np.ndarray:
    return to_e2m1(blocks, (steps.astype(np.float32) * scale)[..., None])


def _error(
    blocks: np.ndarray, steps: np.ndarray, scale: np.float32, counts: np.ndarray
) -> np.ndarray:
    """Squared errors [N, B] of the blocks, weighted by `counts` [B, 16]."""
    unit = (steps.astype(np.float32) * scale)[..., None]
    return (
        np.square(_values(blocks, steps, scale).astype(np.float32) * unit - blocks) * counts
    ).sum(-1)


def _saturate(numbers: np.ndarray, largest: np.float32) -> np.ndarray:
    return np.clip(numbers, -largest, largest).astype(np.float32)

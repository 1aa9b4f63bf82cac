"""NVFP4 with error feedback: what rounding a column does to a layer's output, the columns after it
make up for.

After Frantar et al., "GPTQ": with the sums of products H of the inputs, the error of one column is
spread over those that are still to be rounded by a row of the Cholesky factor of H's inverse. Here
H is cut into groups along the diagonal, so that memory grows with the width of a layer and not with
its square; block scales are found as the blocks come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retouch_export.formats import BLOCK, E2M1, E4M3, to_e2m1, to_nvfp4

GROUP = 256  # columns that make up for each other's errors, a multiple of BLOCK
# of the mean square of the inputs, added to every channel's: the calibration has seen only so much
DAMPING = 0.01

Products = Sequence[
    np.ndarray
]  # of each group of an activation's channels, the sums of xᵀx over tokens x


def products(tokens: np.ndarray) -> list[np.ndarray]:
    """Of float32 `tokens` [N, K], each [G, G]; the last group may be narrower."""
    groups = (tokens[:, begin : begin + GROUP] for begin in range(0, tokens.shape[-1], GROUP))
    return [group.T @ group for group in groups]


def importance(inputs: Products) -> np.ndarray:
    """How much a squared error of each column [K] of a weight weighs in its output."""
    return np.concatenate([group.diagonal() for group in inputs])


def factors(inputs: Products) -> list[np.ndarray]:
    """For each group the upper U, float32, with UᵀU the inverse of its damped products."""
    return [_factor(group.astype(np.float64)) for group in inputs]


def to_nvfp4_with_feedback(
    weight: np.ndarray, scale: np.float32, spread: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """As `to_nvfp4`; `spread` are the `factors` of the inputs. Rows do not depend on each other."""
    values = np.empty(weight.shape, E2M1)
    steps = np.empty((len(weight), weight.shape[1] // BLOCK), E4M3)
    begin = 0
    for factor in spread:
        left = weight[:, begin : begin + len(factor)].copy()
        for at in range(0, len(factor), BLOCK):
            block = slice(at, at + BLOCK)
            after = slice(at + BLOCK, None)
            found = _block(left[:, block], scale, factor[block, block])
            values[:, begin + at : begin + at + BLOCK], steps[:, (begin + at) // BLOCK], errors = (
                found
            )
            left[:, after] -= errors @ factor[block, after]
        begin += len(factor)
    return values, steps


def _block(
    left: np.ndarray, scale: np.float32, factor: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values [N, 16] and scales [N] of what is `left` to be rounded, which changes, and errors in
    units of the factor."""
    diagonal = factor.diagonal()
    steps = to_nvfp4(left, scale, importance=1 / diagonal**2)[1][:, 0]
    unit = steps.astype(np.float32) * scale
    values = np.empty(left.shape, E2M1)
    errors = np.empty_like(left)
    for column in range(BLOCK):
        values[:, column] = to_e2m1(left[:, column], unit)
        errors[:, column] = (
            left[:, column] - values[:, column].astype(np.float32) * unit
        ) / diagonal[column]
        left[:, column + 1 :] -= np.outer(errors[:, column], factor[column, column + 1 :])
    return values, steps, errors


def _factor(inputs: np.ndarray) -> np.ndarray:
    mean = float(inputs.diagonal().mean()) or 1.0  # inputs that are always zero: any factor will do
    inputs[np.diag_indices_from(inputs)] += DAMPING * mean
    return np.ascontiguousarray(np.linalg.cholesky(np.linalg.inv(inputs)).T).astype(np.float32)

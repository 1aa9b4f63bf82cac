"""NVFP4 with error feedback: later columns compensate the rounding error of a column in the layer's
output.

The method is that of Frantar et al., "GPTQ". H are the sums of products of the inputs. A row of the
Cholesky factor of H's inverse distributes the error of one column over the columns that are not
rounded yet. Here H is cut into groups along the diagonal, so that memory grows linearly with the
width of a layer. Block scales are computed block by block."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from retouch_export.formats import E2M1, E4M3, to_e2m1, to_nvfp4
from retouch_export.ranges import Products
from retouch_export.scales import BLOCK

GROUP = 256  # columns that compensate one another's errors, a multiple of BLOCK
# share of the inputs' mean square that is added to that of every channel
DAMPING = 0.01


def products(tokens: np.ndarray) -> list[np.ndarray]:
    """The products of float32 `tokens` [N, K]: a [G, G] array for each group. The last group may be
    narrower."""
    groups = (tokens[:, begin : begin + GROUP] for begin in range(0, tokens.shape[-1], GROUP))
    return [group.T @ group for group in groups]


def importance(inputs: Products) -> np.ndarray:
    """The weight of a column's squared error in the output, for each column [K]."""
    return np.concatenate([group.diagonal() for group in inputs])


def factors(inputs: Products) -> list[np.ndarray]:
    """The upper triangular U (float32) of each group, with UᵀU the inverse of its damped
    products."""
    return [_factor(group.astype(np.float64)) for group in inputs]


def to_nvfp4_with_feedback(
    weight: np.ndarray, scale: np.float32, spread: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """As `to_nvfp4`, with error feedback. `spread` are the `factors` of the inputs. Rows are
    independent."""
    values = np.empty(weight.shape, E2M1)
    steps = np.empty((len(weight), weight.shape[1] // BLOCK), E4M3)
    begin = 0
    for factor in spread:
        left = weight[:, begin : begin + len(factor)].copy()
        for at in range(0, len(factor), BLOCK):
            block = slice(at, at + BLOCK)
            after = slice(at + BLOCK, None)
            rounded, block_scales, errors = _block(left[:, block], scale, factor[block, block])
            values[:, begin + at : begin + at + BLOCK] = rounded
            steps[:, (begin + at) // BLOCK] = block_scales
            left[:, after] -= errors @ factor[block, after]
        begin += len(factor)
    return values, steps


def _block(
    left: np.ndarray, scale: np.float32, factor: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values [N, 16], scales [N] and errors (in units of the factor) of the block `left`, which is
    changed in place."""
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
    mean = (
        float(inputs.diagonal().mean()) or 1.0
    )  # for inputs that are always zero any factor is right
    inputs[np.diag_indices_from(inputs)] += DAMPING * mean
    return np.ascontiguousarray(np.linalg.cholesky(np.linalg.inv(inputs)).T).astype(np.float32)

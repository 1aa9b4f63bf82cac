"""PyTorch's normal numbers in numpy: those that `torch.randn` draws from a CPU generator in
float32.

The generator is the Mersenne Twister, seeded as numpy's legacy one with the seed's lower 32 bits.
Normal numbers are made as in ATen's `normal_fill` and `normal_distribution`
(native/cpu/DistributionTemplates.h and core/DistributionsHelper.h). Logarithm, sine and cosine are
numpy's, so results may differ by up to 1e-6."""

from __future__ import annotations

import math

import numpy as np

GROUP = 16  # numbers that are made together; fewer are made in another way


def randn(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """`torch.randn(shape, generator=torch.Generator().manual_seed(seed))`, float32."""
    count = math.prod(shape)
    generator = np.random.RandomState(seed & 0xFFFFFFFF)
    values = _many(generator, count) if count >= GROUP else _few(generator, count)
    return values.astype(np.float32).reshape(shape)


def _many(generator: np.random.RandomState, count: int) -> np.ndarray:
    """Groups of 16 by Box and Muller. The last 16 are drawn again when the count is no multiple of
    16."""
    uniform = _uniform(generator, count)
    whole = count // GROUP * GROUP
    values = np.append(_normal(uniform[:whole]), uniform[whole:])
    if whole < count:
        values[-GROUP:] = _normal(_uniform(generator, GROUP))
    return values


def _normal(uniform: np.ndarray) -> np.ndarray:
    """Normal numbers from groups of 16 uniform ones: eight radii, then eight angles."""
    radii, angles = np.moveaxis(uniform.reshape(-1, 2, GROUP // 2), 1, 0)
    radius = np.sqrt(np.float32(-2) * np.log(1 - radii))
    angle = np.float32(2 * math.pi) * angles
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)


def _few(generator: np.random.RandomState, count: int) -> np.ndarray:
    """Pairs of numbers in float64, the angle first."""
    high, low = np.moveaxis(
        _integers(generator, 4 * ((count + 1) // 2)).astype(np.uint64).reshape(-1, 2), 1, 0
    )
    angles, radii = np.moveaxis(
        (((high << 32) | low) & (2**53 - 1)).reshape(-1, 2) * 2.0**-53, 1, 0
    )
    radius = np.sqrt(-2 * np.log1p(-radii))
    angle = 2 * math.pi * angles
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)[:count]


def _uniform(generator: np.random.RandomState, count: int) -> np.ndarray:
    """float32 in [0, 1), of 24 bits each."""
    return (_integers(generator, count) & 0xFFFFFF).astype(np.float32) * np.float32(2.0**-24)


def _integers(generator: np.random.RandomState, count: int) -> np.ndarray:
    return generator.randint(0, 2**32, count, np.uint32)

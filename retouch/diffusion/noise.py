"""PyTorch's normal numbers in numpy: what `torch.randn` draws from a CPU generator in float32,
without torch.

The generator is the Mersenne Twister, seeded as numpy's legacy one with the seed's lower 32 bits;
the two ways from its numbers to normal ones are those of ATen's `normal_fill` and
`normal_distribution` (native/cpu/DistributionTemplates.h and core/DistributionsHelper.h).
Logarithm, sine and cosine are numpy's, so the last bits may differ: by 1e-6 at most."""

from __future__ import annotations

import math

import numpy as np

GROUP = 16  # numbers that are made together; fewer take another way


def randn(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """`torch.randn(shape, generator=torch.Generator().manual_seed(seed))`, float32."""
    count = math.prod(shape)
    words = np.random.RandomState(seed & 0xFFFFFFFF)
    values = _many(words, count) if count >= GROUP else _few(words, count)
    return values.astype(np.float32).reshape(shape)


def _many(words: np.random.RandomState, count: int) -> np.ndarray:
    """Groups of 16 by Box and Muller; the last 16 of a count that is no multiple of it are drawn
    once more."""
    uniform = _uniform(words, count)
    whole = count // GROUP * GROUP
    values = np.append(_normal(uniform[:whole]), uniform[whole:])
    if whole < count:
        values[-GROUP:] = _normal(_uniform(words, GROUP))
    return values


def _normal(uniform: np.ndarray) -> np.ndarray:
    """Normal numbers of groups of 16 uniform ones: the first eight are radii, the others angles."""
    radii, angles = np.moveaxis(uniform.reshape(-1, 2, GROUP // 2), 1, 0)
    radius = np.sqrt(np.float32(-2) * np.log(1 - radii))
    angle = np.float32(2 * math.pi) * angles
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)


def _few(words: np.random.RandomState, count: int) -> np.ndarray:
    """Two by two, in float64, the angle first."""
    high, low = np.moveaxis(
        _words(words, 4 * ((count + 1) // 2)).astype(np.uint64).reshape(-1, 2), 1, 0
    )
    angles, radii = np.moveaxis(
        (((high << 32) | low) & (2**53 - 1)).reshape(-1, 2) * 2.0**-53, 1, 0
    )
    radius = np.sqrt(-2 * np.log1p(-radii))
    angle = 2 * math.pi * angles
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)[:count]


def _uniform(words: np.random.RandomState, count: int) -> np.ndarray:
    """float32 in [0, 1), of 24 bits each."""
    return (_words(words, count) & 0xFFFFFF).astype(np.float32) * np.float32(2.0**-24)


def _words(words: np.random.RandomState, count: int) -> np.ndarray:
    return words.randint(0, 2**32, count, np.uint32)

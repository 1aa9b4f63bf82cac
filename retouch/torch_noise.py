"""The noise that PyTorch draws on a CPU, without PyTorch: a checkpoint's seed means the same here as in its pipeline.

After `at::native::templates::cpu::normal_fill` and `at::normal_distribution` of PyTorch's ATen: Mersenne twister
numbers, 24 bits of each as a share of 1, and Box and Muller's transform of pairs that stand eight apart. Equal to
PyTorch's but for the last bits of its vectorised logarithm and cosine.
"""

from __future__ import annotations

import math

import numpy as np

GROUP = 16  # values that are transformed together
SMALL, LARGE = 24, 53  # bits of a uniform number, as float32 and float64


def randn(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """`torch.randn(shape, generator=torch.Generator().manual_seed(seed))`, float32; of a seed the low 32 bits count."""
    twister, count = np.random.RandomState(seed % 2**32), math.prod(shape)
    values = _many(twister, count) if count >= GROUP else _few(twister, count)
    return values.astype(np.float32).reshape(shape)


def _many(twister: np.random.RandomState, count: int) -> np.ndarray:
    """Groups of 16; the last 16 are drawn again where they are no whole group."""
    shares = _words(twister, count)
    whole = count - count % GROUP
    values = np.concatenate([_transformed(shares[:whole]), np.zeros(count - whole)])
    if whole < count:
        values[-GROUP:] = _transformed(_words(twister, GROUP))
    return values


def _few(twister: np.random.RandomState, count: int) -> np.ndarray:
    """Pairs in float64, the second of a pair kept for the next value."""
    words = twister.randint(0, 2**32, (-(-count // 2), 2, 2), np.uint64)
    share, size = (((words[..., 0] << np.uint64(32) | words[..., 1]) % np.uint64(2**LARGE)) / 2.0**LARGE).T
    return _pairs(np.log1p(-size), 2 * math.pi * share).T.reshape(-1)[:count]


def _words(twister: np.random.RandomState, count: int) -> np.ndarray:
    """Shares of 1 in float64, of 24 bits each."""
    return (twister.randint(0, 2**32, count, np.uint32) % 2**SMALL) / 2.0**SMALL


def _transformed(shares: np.ndarray) -> np.ndarray:
    """The angle is rounded to float32, as PyTorch's is: that counts for more than its cosine's last bits."""
    size, share = shares.reshape(-1, 2, GROUP // 2).transpose(1, 0, 2)
    angle = np.float32(2 * math.pi) * share.astype(np.float32)
    return _pairs(np.log(1 - size), angle.astype(np.float64)).transpose(1, 0, 2).reshape(-1)


def _pairs(logarithm: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Two normal numbers of each, along a first axis of two."""
    radius = np.sqrt(-2 * logarithm)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)])

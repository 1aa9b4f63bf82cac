"""Streams of scores, with changes and without."""

from __future__ import annotations

import numpy as np


def steady(seed: int, count: int, mean: float = 0.8, deviation: float = 0.1) -> list[float]:
    return np.random.default_rng(seed).normal(mean, deviation, count).tolist()


def random_streams(seed: int, count: int) -> list[list[float]]:
    """Normal, uniform, binary and constant values in one to four parts with means of their own."""
    rng = np.random.default_rng(seed)
    return [_parts(rng) for _ in range(count)]


def _parts(rng: np.random.Generator) -> list[float]:
    kind = rng.integers(4)
    values: list[float] = []
    for _ in range(rng.integers(1, 5)):
        mean, spread, size = rng.uniform(0, 1), rng.uniform(0.01, 0.5), int(rng.integers(20, 500))
        part = (
            rng.normal(mean, spread, size),
            rng.uniform(mean - spread, mean + spread, size),
            (rng.uniform(size=size) < mean).astype(float),
            np.full(size, mean),
        )[kind]
        values.extend(part.tolist())
    return values

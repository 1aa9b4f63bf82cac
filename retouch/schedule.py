"""The flow-matching schedule: x = (1 − σ) · clean + σ · noise, walked from σ = 1 to 0 in Euler steps.

Equal to diffusers' FlowMatchEulerDiscreteScheduler after `set_timesteps(sigmas=linspace(1, 1/steps, steps))`,
the schedule of its Flux pipelines.
"""

from __future__ import annotations

import numpy as np


def sigmas(steps: int, shift: float) -> np.ndarray:
    """Noise levels before each step and after the last, float32 [steps + 1], falling from 1 to 0.

    A `shift` above 1 spends more of the steps at high noise: σ ← shift · σ / (1 + (shift − 1) · σ).
    """
    even = np.linspace(1, 1 / steps, steps).astype(np.float32)
    shifted = shift * even / (1 + (shift - 1) * even)
    return np.append(shifted, np.float32(0)).astype(np.float32)


def euler(x: np.ndarray, velocity: np.ndarray, sigma: np.float32, following: np.float32) -> np.ndarray:
    """`x` at noise level `sigma` moved to the level `following`."""
    return x + (following - sigma) * velocity


def clean(x: np.ndarray, velocity: np.ndarray, sigma: np.float32) -> np.ndarray:
    """What `x` would be without its noise, if the velocity stayed the same."""
    return x - sigma * velocity

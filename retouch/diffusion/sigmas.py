"""The flow-matching schedule: x = (1 − σ) · clean + σ · noise, from σ = 1 to 0 in Euler steps.

Equal to diffusers' FlowMatchEulerDiscreteScheduler after `set_timesteps(sigmas=linspace(1, 1/steps,
steps), mu=mu)`, the schedule of its Flux and Qwen-Image pipelines."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

CLASS = "FlowMatchEulerDiscreteScheduler"
TRAINED_STEPS = 1000  # pipelines divide time steps by this number, not by the config's
UNSUPPORTED = (
    "use_karras_sigmas",
    "use_exponential_sigmas",
    "use_beta_sigmas",
    "invert_sigmas",
    "stochastic_sampling",
)
SHIFTS = ("exponential", "linear")


@dataclass(frozen=True)
class Schedule:
    """The schedule of a checkpoint's scheduler_config.json, with diffusers' defaults.

    `shift` above 1 takes more of the steps at high noise: σ ← shift · σ / (1 + (shift − 1) · σ). A
    `dynamic` shift is e^mu ("exponential") or mu ("linear"). mu is linear in the image's tokens:
    `base_shift` at `base_length` tokens and `max_shift` at `max_length`. `terminal`, unless 0, is
    the last noise level before 0; the others are stretched to it. `levels`, before the shift, take
    the place of evenly spaced ones for as many steps: the pipelines' argument `sigmas`."""

    shift: float = 1.0
    dynamic: str = ""
    base_shift: float = 0.5
    max_shift: float = 1.15
    base_length: int = 256
    max_length: int = 4096
    terminal: float = 0.0
    levels: tuple[float, ...] = ()

    @classmethod
    def of(cls, config: dict[str, Any]) -> Schedule:
        """ValueError when the config has options that are not supported here."""
        kind = config.get("_class_name", CLASS)
        kinds = config.get("time_shift_type", SHIFTS[0])
        unsupported = [name for name in UNSUPPORTED if config.get(name)]
        if kind != CLASS or unsupported:
            raise ValueError(
                f"the checkpoint's scheduler is {' with '.join([kind, *unsupported])}; "
                f"only {CLASS} without {', '.join(UNSUPPORTED)} is supported"
            )
        if config.get("num_train_timesteps", TRAINED_STEPS) != TRAINED_STEPS or kinds not in SHIFTS:
            raise ValueError(
                f"the checkpoint's scheduler must have num_train_timesteps {TRAINED_STEPS} and a "
                f"time_shift_type that is {' or '.join(SHIFTS)}"
            )
        names = {
            "shift": "shift",
            "base_shift": "base_shift",
            "max_shift": "max_shift",
            "base_length": "base_image_seq_len",
            "max_length": "max_image_seq_len",
            "terminal": "shift_terminal",
        }
        options = {
            ours: config[theirs] for ours, theirs in names.items() if config.get(theirs) is not None
        }
        return cls(**options, dynamic=kinds if config.get("use_dynamic_shifting") else "")

    def mu(self, tokens: int) -> float:
        """mu of an image of `tokens`, by diffusers' `calculate_shift`."""
        slope = (self.max_shift - self.base_shift) / (self.max_length - self.base_length)
        return tokens * slope + (self.base_shift - slope * self.base_length)

    def sigmas(self, steps: int, mu: float = 0.0) -> np.ndarray:
        """Noise levels before each step and after the last, float32 [steps + 1], from 1 to 0. `mu`
        is used by a dynamic shift."""
        even = np.linspace(1, 1 / steps, steps)
        levels = (np.array(self.levels) if len(self.levels) == steps else even).astype(np.float32)
        if self.dynamic:
            shift = math.exp(mu) if self.dynamic == "exponential" else mu
            levels = shift / (shift + (1 / levels - 1))
        else:
            levels = self.shift * levels / (1 + (self.shift - 1) * levels)
        if self.terminal and steps > 1:  # a single level stays 1
            cleanness = 1 - levels
            levels = 1 - cleanness / (cleanness[-1] / (1 - self.terminal))
        return np.append(levels, 0).astype(np.float32)


def euler_step(
    x: np.ndarray, velocity: np.ndarray, sigma: np.float32, following: np.float32
) -> np.ndarray:
    """`x` moved from noise level `sigma` to `following`."""
    return x + (following - sigma) * velocity


def predict_clean(x: np.ndarray, velocity: np.ndarray, sigma: np.float32) -> np.ndarray:
    """The clean `x`, if the velocity stayed the same."""
    return x - sigma * velocity

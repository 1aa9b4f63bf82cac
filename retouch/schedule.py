"""The flow-matching schedule: x = (1 − σ) · clean + σ · noise, walked from σ = 1 to 0 in Euler steps.

Equal, bit for bit, to diffusers' FlowMatchEulerDiscreteScheduler after `set_timesteps(sigmas=linspace(1, 1/steps, steps),
mu=mu)`, the schedule of its pipelines for flow matching.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

# options of scheduler_config.json that another schedule would have to be written for
UNKNOWN = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas", "invert_sigmas", "stochastic_sampling",
           "use_flow_sigmas")
TRAINED = 1000  # timesteps from σ = 0 to 1, as every pipeline takes for granted that divides them by 1000


@dataclass(frozen=True)
class Schedule:
    """A `shift` above 1 spends more of the steps at high noise. A `dynamic` one, "exponential" or "linear", has the
    exponent or the factor `mu` of each image instead. `terminal` is the noise before the last step, where it is stretched
    to that."""

    shift: float = 1.0
    dynamic: str = ""
    terminal: float = 0.0

    @classmethod
    def of(cls, config: dict[str, Any]) -> Schedule:
        """Of a scheduler's `scheduler_config.json`; ValueError for options that are not followed."""
        asked = [option for option in UNKNOWN if config.get(option)]
        kind, trained = config.get("time_shift_type", "exponential"), config.get("num_train_timesteps", TRAINED)
        if config.get("_class_name", "FlowMatchEulerDiscreteScheduler") != "FlowMatchEulerDiscreteScheduler":
            raise ValueError(f"the scheduler {config['_class_name']} is not followed, only FlowMatchEulerDiscreteScheduler")
        if asked or trained != TRAINED or kind not in ("exponential", "linear"):
            wrong = asked[0] if asked else f"{trained} training timesteps" if trained != TRAINED else f"a shift {kind!r}"
            raise ValueError(f"the schedule with {wrong} is not followed")
        return cls(config.get("shift", 1.0), kind if config.get("use_dynamic_shifting") else "",
                   config.get("shift_terminal") or 0.0)

    def sigmas(self, steps: int, mu: float | None = None) -> np.ndarray:
        """Noise levels before each step and after the last, float32 [steps + 1], falling from 1 to 0.

        Static: σ ← shift · σ / (1 + (shift − 1) · σ); dynamic: σ ← f / (f + 1 / σ − 1) with f = exp(mu) or mu, without
        which it raises ValueError.
        """
        if self.dynamic and mu is None:
            raise ValueError("the checkpoint's schedule is shifted by the image's size, which this family does not tell it")
        sigma = np.linspace(1, 1 / steps, steps).astype(np.float32)
        if self.dynamic:
            factor = math.exp(mu) if self.dynamic == "exponential" else mu
            sigma = factor / (factor + (1 / sigma - 1))
        else:
            sigma = self.shift * sigma / (1 + (self.shift - 1) * sigma)
        if self.terminal and steps > 1:  # of one step, the noise before it is the noise before the last
            left = 1 - sigma
            sigma = 1 - left / (left[-1] / (1 - self.terminal))
        return np.append(sigma, np.float32(0)).astype(np.float32)


def euler(x: np.ndarray, velocity: np.ndarray, sigma: np.float32, following: np.float32) -> np.ndarray:
    """`x` at noise level `sigma` moved to the level `following`."""
    return x + (following - sigma) * velocity


def clean(x: np.ndarray, velocity: np.ndarray, sigma: np.float32) -> np.ndarray:
    """What `x` would be without its noise, if the velocity stayed the same."""
    return x - sigma * velocity

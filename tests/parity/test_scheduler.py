"""The schedule and its steps against diffusers' scheduler."""

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from retouch import schedule
from retouch.schedule import Schedule


@pytest.mark.parametrize("steps", (1, 4, 12, 50))
@pytest.mark.parametrize("shift", (1.0, 3.0, 6.5))
def test_whole_walk(steps, shift):
    theirs = FlowMatchEulerDiscreteScheduler(shift=shift)
    theirs.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps).tolist())
    sigmas = Schedule(shift).sigmas(steps)
    np.testing.assert_array_equal(sigmas, theirs.sigmas.numpy())
    x = np.random.default_rng(0).standard_normal((5, 64), np.float32)
    y = torch.from_numpy(x)
    for sigma, following, timestep in zip(sigmas, sigmas[1:], theirs.timesteps):
        velocity = np.sin(x * 3 + sigma)
        x = schedule.euler(x, velocity, sigma, following)
        y = theirs.step(torch.from_numpy(velocity), timestep, y).prev_sample
    np.testing.assert_array_equal(x, y.numpy())

"""The schedule and its steps against diffusers' scheduler."""

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from diffusers.pipelines.flux.pipeline_flux_kontext import calculate_shift

from retouch.diffusion.sigmas import Schedule, euler_step

# of FLUX.1 Kontext, Qwen-Image, and what else the class can be told
CONFIGS = (
    {"use_dynamic_shifting": True, "shift": 3.0},
    {
        "use_dynamic_shifting": True,
        "max_shift": 0.9,
        "max_image_seq_len": 8192,
        "shift_terminal": 0.02,
    },
    {"use_dynamic_shifting": True, "time_shift_type": "linear", "base_image_seq_len": 64},
    {"shift": 3.0, "shift_terminal": 0.1},
)


def timesteps(theirs, steps, **options):
    theirs.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps).tolist(), **options)
    return theirs.sigmas.numpy()


@pytest.mark.parametrize("steps", (1, 4, 12, 50))
@pytest.mark.parametrize("shift", (1.0, 3.0, 6.5))
def test_whole_walk(steps, shift):
    theirs = FlowMatchEulerDiscreteScheduler(shift=shift)
    expected = timesteps(theirs, steps)
    sigmas = Schedule(shift).sigmas(steps)
    np.testing.assert_array_equal(sigmas, expected)
    x = np.random.default_rng(0).standard_normal((5, 64), np.float32)
    y = torch.from_numpy(x)
    for sigma, following, timestep in zip(sigmas, sigmas[1:], theirs.timesteps):
        velocity = np.sin(x * 3 + sigma)
        x = euler_step(x, velocity, sigma, following)
        y = theirs.step(torch.from_numpy(velocity), timestep, y).prev_sample
    np.testing.assert_array_equal(x, y.numpy())


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("steps", (2, 7, 28))
@pytest.mark.parametrize("tokens", (24, 1008, 4096, 7000))
def test_configs(config, steps, tokens):
    theirs = FlowMatchEulerDiscreteScheduler(**config)
    ours = Schedule.of(dict(theirs.config))
    settings = theirs.config
    mu = calculate_shift(
        tokens,
        settings.base_image_seq_len,
        settings.max_image_seq_len,
        settings.base_shift,
        settings.max_shift,
    )
    assert ours.mu(tokens) == mu
    np.testing.assert_array_equal(ours.sigmas(steps, mu), timesteps(theirs, steps, mu=mu))

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


@pytest.mark.parametrize("config", (
    {"use_dynamic_shifting": True}, {"use_dynamic_shifting": True, "time_shift_type": "linear"},
    {"shift": 3.0, "shift_terminal": 0.02}, {"use_dynamic_shifting": True, "shift_terminal": 0.1}), ids=str)
@pytest.mark.parametrize("steps, mu", ((2, 0.5), (4, 1.15), (28, 2.02)))
def test_every_shift(config, steps, mu):
    theirs = FlowMatchEulerDiscreteScheduler(**config)
    theirs.set_timesteps(sigmas=np.linspace(1, 1 / steps, steps), mu=mu)
    np.testing.assert_array_equal(Schedule.of(dict(theirs.config)).sigmas(steps, mu), theirs.sigmas)


def test_a_single_step_is_not_stretched():
    """Where diffusers divides by zero."""
    assert Schedule(3.0, terminal=0.02).sigmas(1).tolist() == [1, 0]


@pytest.mark.parametrize("config, said", (
    ({"use_karras_sigmas": True}, "use_karras_sigmas"), ({"use_exponential_sigmas": True}, "use_exponential_sigmas"),
    ({"use_beta_sigmas": True}, "use_beta_sigmas"), ({"invert_sigmas": True}, "invert_sigmas"),
    ({"stochastic_sampling": True}, "stochastic_sampling"), ({"num_train_timesteps": 500}, "500 training timesteps"),
    ({"time_shift_type": "cubic"}, "cubic"), ({"_class_name": "EulerDiscreteScheduler"}, "EulerDiscreteScheduler")))
def test_other_schedules_are_refused(config, said):
    with pytest.raises(ValueError, match=said):
        Schedule.of(config)


def test_a_dynamic_schedule_wants_its_shift():
    with pytest.raises(ValueError, match="shifted by the image's size"):
        Schedule.of({"use_dynamic_shifting": True}).sigmas(4)

"""The schedule's own properties; that it is diffusers' is tested beside the other parities."""

import numpy as np
import pytest

from retouch.diffusion.sigmas import Schedule, euler_step, predict_clean


@pytest.mark.parametrize("steps", (1, 2, 12, 50))
@pytest.mark.parametrize("shift", (1.0, 3.0))
def test_falls_from_one_to_zero(steps, shift):
    sigmas = Schedule(shift).sigmas(steps)
    assert sigmas.dtype == np.float32 and sigmas.shape == (steps + 1,)
    assert sigmas[0] == 1 and sigmas[-1] == 0 and (np.diff(sigmas) < 0).all()


def test_shift_spends_steps_at_high_noise():
    assert (Schedule(3.0).sigmas(8)[1:-1] > Schedule(1.0).sigmas(8)[1:-1]).all()


def test_the_true_velocity_leads_to_the_clean_image():
    rng = np.random.default_rng(0)
    clean, noise = rng.standard_normal((2, 5, 64), np.float32)
    x = noise
    sigmas = Schedule(3.0).sigmas(7)
    for sigma, following in zip(sigmas, sigmas[1:]):
        velocity = noise - clean
        np.testing.assert_allclose(predict_clean(x, velocity, sigma), clean, atol=1e-5)
        x = euler_step(x, velocity, sigma, following)
    np.testing.assert_allclose(x, clean, atol=1e-5)
    assert x.dtype == np.float32


@pytest.mark.parametrize(
    "config, message",
    [
        ({"_class_name": "DDIMScheduler"}, "is DDIMScheduler"),
        ({"use_karras_sigmas": True}, "with use_karras_sigmas"),
        ({"use_beta_sigmas": True}, "with use_beta_sigmas"),
        ({"stochastic_sampling": True}, "with stochastic_sampling"),
        ({"num_train_timesteps": 100}, "num_train_timesteps 1000"),
        ({"time_shift_type": "cosine"}, "exponential or linear"),
    ],
)
def test_what_is_not_known_is_refused(config, message):
    with pytest.raises(ValueError, match=message):
        Schedule.of(config)

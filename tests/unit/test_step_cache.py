"""Which steps the network need not run for, and that what it would have said is used until it must
be asked again."""

from __future__ import annotations

import numpy as np
import pytest

from retouch.diffusion.step_cache import StepCache

RNG = np.random.default_rng(0)
START, CLEAN = (RNG.standard_normal((6, 12), np.float32) for _ in range(2))
BEND = RNG.standard_normal((6, 12), np.float32)


def walk(threshold, bend, steps=20):
    """Steps at which the network ran, and the last tokens, for a velocity that turns by `bend` on
    the way."""
    cache = StepCache(threshold)
    tokens = START
    ran = []
    sigmas = np.linspace(1, 0, steps + 1, dtype=np.float32)
    for i in range(steps):
        if i < steps - 1 and cache.serves(tokens):
            velocity = cache.velocity(tokens)
        else:
            velocity = START - CLEAN + bend * np.sin(4 * sigmas[i]) * BEND
            cache.ran(tokens, velocity)
            ran.append(i)
        tokens = tokens + (sigmas[i + 1] - sigmas[i]) * velocity
    return ran, tokens


def test_without_a_threshold_every_step_runs():
    assert walk(0.0, 0.5)[0] == list(range(20))


def test_a_velocity_that_hardly_changes_is_used_again_and_again():
    ran, tokens = walk(0.2, 1e-3)
    assert ran == [0, 1, 19]
    np.testing.assert_allclose(tokens, walk(0.0, 1e-3)[1], atol=0.02)


def test_a_higher_threshold_runs_less_and_errs_more():
    exact = walk(0.0, 0.5)[1]
    counts = []
    errors = []
    for threshold in (0.02, 0.1, 0.4):
        ran, tokens = walk(threshold, 0.5)
        counts.append(len(ran))
        errors.append(np.abs(tokens - exact).mean())
    assert 20 >= counts[0] > counts[1] > counts[2] >= 3 and errors[0] < errors[1] < errors[2]


def test_asking_changes_nothing():
    """A step that fails is taken again."""
    cache = StepCache(0.5)
    for tokens in (START, START * 0.9):
        cache.ran(tokens, tokens - CLEAN)
    answers = [cache.serves(START * 0.8) for _ in range(50)]
    assert answers == [True] * 50


@pytest.mark.parametrize("runs", [0, 1])
def test_the_first_two_steps_run(runs):
    cache = StepCache(1.0)
    for _ in range(runs):
        cache.ran(START, START - CLEAN)
    assert not cache.serves(START)

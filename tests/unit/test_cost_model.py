"""The cost of a step: fitted, kept in a readable file, and read by whoever plans."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from retouch.engine.cost_model import NAME, Cost, Measured, fit, load, save

TRUE = Cost(1e-3, 3e-4, 2e-5, 1e-7)
POINTS = [
    (batch, tokens, reference)
    for batch in (1, 2, 8)
    for tokens in (4, 16, 64)
    for reference in (60, 64)
]


def measured(cost, noise=0.0):
    rng = np.random.default_rng(0)
    return [
        Measured(*point, cost.seconds(*point) * (1 + noise * rng.standard_normal()))
        for point in POINTS
    ]


def test_what_was_measured_comes_out_again():
    fitted = fit(measured(TRUE))
    np.testing.assert_allclose(
        [fitted.step, fitted.edit, fitted.token, fitted.pair], [1e-3, 3e-4, 2e-5, 1e-7], rtol=1e-6
    )


def test_noise_moves_it_little():
    fitted = fit(measured(TRUE, 0.05))
    for point in POINTS:
        assert fitted.seconds(*point) == pytest.approx(TRUE.seconds(*point), rel=0.1)


@given(
    some.lists(
        some.tuples(
            some.integers(1, 16), some.integers(1, 64), some.integers(1, 64), some.floats(1e-5, 10)
        ),
        min_size=1,
        max_size=12,
    )
)
def test_no_cost_is_below_zero(points):
    fitted = fit([Measured(*point) for point in points])
    assert min(fitted.step, fitted.edit, fitted.token, fitted.pair) >= 0


def test_nothing_measured_is_an_error():
    with pytest.raises(ValueError, match="nothing measured"):
        fit([])


def test_the_file_can_be_read_by_people_and_again(tmp_path):
    path = save(TRUE, measured(TRUE), "two cores", tmp_path)
    text = json.loads(path.read_text())
    assert text["machine"] == "two cores" and len(text["measured"]) == len(POINTS)
    assert load(tmp_path) == TRUE


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"seconds": {"stp": 1}}', '{"seconds": 3}'])
def test_a_file_that_cannot_be_read_counts_for_nothing(tmp_path, text):
    assert load(tmp_path) == Cost()
    (tmp_path / NAME).write_text(text)
    assert load(tmp_path) == Cost()

"""Plans are compared with their graph and with the wider lane's plan."""

from __future__ import annotations

import numpy as np
import pytest

from retouch.artifacts.manifest import ArtifactError
from retouch_export.plan_trial import ROUNDS, SIMILAR, WARM, compare, example, similarity


class Clocked:
    """An executor whose runs take the given seconds, in turns."""

    def __init__(self, *seconds, log=()):
        self.times = seconds
        self.runs = 0
        self.log = log

    def run(self, inputs):
        self.runs += 1
        return {}

    def seconds(self, inputs):
        self.log.append(self)
        return self.times[self.log.count(self) % len(self.times)]


def test_examples_are_of_their_kind_and_repeat():
    inputs = example({"tokens": (2, 3, 4), "timestep": (2,), "conditioning_ids": (2, 5, 4)})
    assert {name: values.shape for name, values in inputs.items()} == {
        "tokens": (2, 3, 4),
        "timestep": (2,),
        "conditioning_ids": (2, 5, 4),
    }
    assert all(values.dtype == np.float32 for values in inputs.values())
    assert (inputs["timestep"] > 0).all() and (inputs["timestep"] <= 1).all()
    assert (inputs["conditioning_ids"] == np.round(inputs["conditioning_ids"])).all()
    again = example({"tokens": (2, 3, 4)})
    np.testing.assert_array_equal(again["tokens"], inputs["tokens"])


def judged(noise, precision):
    trials = [{"x": np.random.default_rng(seed).standard_normal(1000)} for seed in range(3)]
    rough = np.random.default_rng(9).standard_normal(1000)
    return similarity(
        lambda inputs: {"y": inputs["x"] + noise * rough},
        lambda inputs: {"y": inputs["x"]},
        trials,
        precision,
        "step",
    )


def test_equal_outputs_pass():
    assert judged(0, "bf16") == {"y": pytest.approx(1)}


@pytest.mark.parametrize(
    "noise, passing",
    [
        (0.03, ("bf16", "fp8", "fp4")),
        (0.07, ("fp8", "fp4")),
        (0.15, ("fp4",)),
        (0.3, ()),
        (np.nan, ()),
    ],
)
def test_each_lane_has_its_budget(noise, passing):
    for precision in SIMILAR:
        if precision in passing:
            assert SIMILAR[precision] <= judged(noise, precision)["y"] < 1
        else:
            with pytest.raises(
                ArtifactError,
                match=f"another y than its graph: cosine .* the {precision} lane allows",
            ):
                judged(noise, precision)


def test_lanes_take_turns_and_the_median_counts():
    log = []
    slow = Clocked(0.002, 0.002, 0.9, log=log)
    fast = Clocked(0.001, log=log)
    assert compare({"fp8": fast, "bf16": slow}, {}) == {
        "fp8": pytest.approx(1),
        "bf16": pytest.approx(2),
    }
    assert log == [fast, slow] * ROUNDS
    assert fast.runs == slow.runs == WARM

"""Answers by the policy: edits and scores that succeed, fail, and take their time."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality_policies import (
    CERTAIN,
    EVALUATOR,
    LOADS,
    REJECT_BELOW,
    THRESHOLDS,
    Clock,
    policies,
    policy,
    score,
)
from retouch.api.errors import Cancelled, RequestError
from retouch.api.lanes import LANES
from retouch.api.response import Scores
from retouch.quality.policy.bounded_call import BoundedCalls
from retouch.quality.policy.runner import PolicyRequest, PolicyRunner

REQUEST = PolicyRequest("one", 7, "fp4", 8, "remove", LANES)
BEST_OF_3 = f"[best_of]\ntries = 3\n{CERTAIN}"


@dataclass(frozen=True)
class Picture:
    """An answer that knows the score it will have; None fails the evaluator."""

    number: int
    value: float | None


class Edits:
    """Edits that take a second of `clock` and have the given scores; an exception is raised."""

    def __init__(self, *values, clock=None, seconds=1.0):
        self.plans = []
        self._values = list(values)
        self._clock = clock
        self._seconds = seconds

    def __call__(self, seed, lane, steps):
        value = self._values[len(self.plans)]
        self.plans.append((seed, lane, steps))
        if self._clock:
            self._clock.wait(self._seconds)
        if isinstance(value, BaseException):
            raise value
        return Picture(len(self.plans) - 1, value)


def evaluate(picture):
    if picture.value is None:
        raise RuntimeError("no evaluator")
    return score(picture.value)


class Immediate:
    """Bounded calls without threads, for tests with a clock of their own."""

    def call(self, function, seconds):
        try:
            return function() if seconds > 0 else None
        except RuntimeError:
            return None


class Lines:
    def __init__(self):
        self.records = []

    def write(self, record):
        self.records.append(record)


def run(text, edits, request=REQUEST, evaluator=evaluate, **options):
    made = policy(text) if isinstance(text, str) else text
    runner = PolicyRunner(made, THRESHOLDS, random.Random(0), **options)
    return runner.run(request, edits, evaluator)


def steps(result):
    return [decision["step"] for decision in result.decisions]


def test_a_good_answer_costs_one_edit():
    edits = Edits(0.8)
    result = run(CERTAIN, edits)
    assert edits.plans == [(7, "fp4", 8)]
    assert (result.answer.number, result.outcome, result.score) == (0, "accept", score(0.8))
    assert steps(result) == ["edit", "accept"]


def test_a_bad_answer_is_retried_then_widened():
    edits = Edits(0.2, 0.4, 0.7)
    result = run(CERTAIN, edits)
    assert steps(result) == ["edit", "retry", "widen", "accept"]
    retried = edits.plans[1]
    assert retried[1:] == ("fp4", 8) and retried[0] != 7
    assert edits.plans[2] == (retried[0], "fp8", 8)
    assert (result.answer.number, result.plan.lane, result.score) == (2, "fp8", score(0.7))


def test_the_best_answer_is_returned_and_not_the_last():
    result = run(BEST_OF_3, Edits(0.65, 0.95, 0.7))
    assert (result.answer.number, result.score) == (1, score(0.95))
    assert result.decisions[-1]["score"] == 0.95


def test_an_answer_that_stays_bad_is_held_with_what_was_tried():
    result = run(CERTAIN, Edits(0.2, 0.5, 0.4, 0.1))
    assert (result.outcome, result.is_for_review, result.answer.number) == ("hold", True, 1)
    assert len(result.attempts) == 4


def test_a_spoiled_answer_is_refused_where_that_is_allowed():
    result = run(f"[refuse]\nenabled = true\n{CERTAIN}", Edits(0.2, 0.1, 0.1, 0.1))
    assert (result.outcome, result.is_for_review) == ("refuse", False)


def test_a_policy_that_is_off_neither_scores_nor_tells():
    lines = Lines()
    runner = PolicyRunner(policy("", enabled=False), THRESHOLDS, log=lines)
    result = runner.run(REQUEST, Edits(0.0), lambda _: pytest.fail("nothing is to be scored"))
    assert (result.outcome, result.decisions, lines.records) == ("accept", [], [])


# -- failures --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "returned",
    [
        None,
        0.9,
        score(float("nan")),
        score(1.5),
        Scores(0.9, 0.9, 0.9, -1.0, EVALUATOR),
        Scores(0.9, 0.9, 0.9, 0.9, "2026.10"),
    ],
)
def test_what_is_no_score_of_this_evaluator_leaves_an_answer_unscored(returned):
    result = run(BEST_OF_3, Edits(0.1), evaluator=lambda _: returned)
    assert (result.outcome, result.score) == ("accept", None)
    assert result.decisions[-1]["reason"] == "not scored"


def test_an_evaluator_that_fails_fails_no_edit():
    result = run(f"[refuse]\nenabled = true\n{CERTAIN}", Edits(None))
    assert (result.outcome, result.decisions[-1]["reason"]) == ("accept", "not scored")


def test_a_late_evaluator_is_not_waited_for():
    released = threading.Event()

    def late(_):
        released.wait(30)
        return score(0.1)

    try:
        result = run(f"[evaluator]\nseconds = 0.05\n{CERTAIN}", Edits(0.1), evaluator=late)
    finally:
        released.set()
    assert (result.outcome, result.decisions[-1]["reason"]) == ("accept", "not scored")


def test_late_evaluations_do_not_pile_up():
    released, began, ended = threading.Event(), [], threading.Semaphore(0)

    def late(_):
        began.append(True)
        released.wait(30)
        ended.release()
        return score(0.1)

    calls = BoundedCalls(running=2)
    text = f"[evaluator]\nseconds = 0.05\n{CERTAIN}"
    try:
        for _ in range(5):
            assert run(text, Edits(0.1), evaluator=late, calls=calls).outcome == "accept"
        assert len(began) == 2
    finally:
        released.set()
    assert ended.acquire(timeout=30) and ended.acquire(timeout=30)


def test_a_place_is_free_again_after_a_call_that_fails():
    calls = BoundedCalls(running=1)
    for _ in range(3):
        assert calls.call(lambda: 1 / 0, 30) is None
    assert calls.call(lambda: "answer", 30) == "answer"


@pytest.mark.parametrize("failure", (ValueError("broken"), RequestError("full", "UNAVAILABLE")))
def test_a_further_edit_that_fails_costs_the_request_nothing(failure):
    result = run(CERTAIN, Edits(0.4, failure))
    assert (result.outcome, result.answer.number) == ("hold", 0)
    assert result.attempts[1].has_failed


def test_the_first_edit_that_fails_is_the_callers():
    with pytest.raises(RequestError, match="full"):
        run(CERTAIN, Edits(RequestError("full", "UNAVAILABLE")))


def test_a_client_that_leaves_ends_everything():
    edits = Edits(0.4, Cancelled())
    with pytest.raises(Cancelled):
        run(CERTAIN, edits)
    assert len(edits.plans) == 2


# -- time and load ---------------------------------------------------------------------------------


def timed(text, edits, clock, deadline=None, **options):
    request = PolicyRequest("one", 7, "fp4", 8, "remove", LANES, deadline)
    return run(text, edits, request, clock=clock, calls=Immediate(), **options)


@pytest.mark.parametrize("deadline, edits", [(0.5, 1), (1.5, 1), (2.0, 2), (3.5, 3), (None, 4)])
def test_no_edit_begins_that_would_end_after_the_deadline(deadline, edits):
    clock = Clock()
    made = Edits(*[0.5] * 9, clock=clock)
    timed(CERTAIN, made, clock, deadline)
    assert len(made.plans) == edits


def test_an_answer_after_its_deadline_is_not_scored():
    clock = Clock()
    result = timed(CERTAIN, Edits(0.9, clock=clock, seconds=5), clock, deadline=4)
    assert (result.outcome, result.score) == ("accept", None)


def test_load_is_asked_for_before_each_decision():
    loads = count()
    edits = Edits(*[0.5] * 9)
    run(f"[limits]\nload = 3\n{CERTAIN}", edits, load=lambda: next(loads))
    assert len(edits.plans) == 2  # the third decision sees a load of 3


def test_load_makes_a_preview_of_an_answer():
    text = "[degrade]\nenabled = true\npreview = true\n"
    result = run(text, Edits(0.0), load=lambda: 2.0)
    assert result.plan.steps == 1 and result.plan.is_preview
    assert result.decisions[0]["preview"] and result.decisions[-1]["reason"] == "preview only"


@settings(max_examples=60)
@given(
    policies(),
    st.lists(st.sampled_from((0.0, 0.2, 0.45, 0.5, 0.7, 0.9, None)), min_size=8, max_size=8),
    st.sampled_from((None, 0.5, 3.0, 10.0)),
    LOADS,
    st.integers(0, 100),
)
def test_all_bounds_hold_for_every_policy(any_policy, values, deadline, load, seed):
    clock = Clock()
    edits = Edits(*values, clock=clock)
    request = PolicyRequest("one", 7, "fp4", 8, "remove", LANES, deadline)
    lines = Lines()
    runner = PolicyRunner(
        any_policy,
        THRESHOLDS,
        random.Random(seed),
        log=lines,
        load=lambda: load,
        clock=clock,
        calls=Immediate(),
    )
    result = runner.run(request, edits, evaluate)
    attempts = result.attempts
    assert len(attempts) == len(edits.plans) <= any_policy.limits.tries
    seconds = clock() - 1000
    assert seconds <= max(1.0, any_policy.limits.seconds)
    assert deadline is None or seconds <= max(1.0, deadline)
    for name, bound in (("retry", any_policy.retry), ("widen", any_policy.widen)):
        taken = [one for one in attempts if one.step == name]
        assert len(taken) <= bound.tries and sum(one.seconds for one in taken) <= bound.seconds
    scores = [one.score for one in attempts if one.score is not None]
    best = max(scores, default=None)
    if len(scores) == len(attempts) or (best is not None and best >= REJECT_BELOW):
        assert (result.score and result.score.score) == best
        assert result.answer.value == best
    assert len(result.decisions) == len(lines.records) == len(attempts) + 1
    for line in lines.records:
        assert sum(p for *_, p in line["branches"]) == pytest.approx(1)
        assert line["probability"] in [p for *_, p in line["branches"]]
    assert [line["final"] for line in lines.records] == [False] * len(attempts) + [True]

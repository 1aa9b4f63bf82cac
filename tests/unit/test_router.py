"""The choice of a lane: what each policy promises, whatever the lanes have to do."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as some

from retouch.api.errors import RequestError
from retouch.api.lanes import LANES, PRECISIONS
from retouch.routing.load_board import LoadReport
from retouch.routing.router import PREFERENCE, TRIFLE_MS, choose, estimate

IDLE = LoadReport(0, 0, 10, 0.01)  # an edit takes 100 ms
BUSY = LoadReport(5, 50, 10, 0.02)  # waits a second before its own 200 ms
NEW = LoadReport(0, 0, 10, 0.0)

counts = some.integers(0, 200)
seconds = some.floats(0.0001, 2.0)
measured = some.builds(
    LoadReport, counts, counts, some.integers(1, 50), seconds, some.floats(0, 10)
)
everything = some.fixed_dictionaries({lane: measured for lane in LANES})
anything = some.fixed_dictionaries(
    {lane: some.none() | some.just(NEW) | measured for lane in LANES}
)
policies = some.sampled_from(tuple(PREFERENCE))
steps = some.integers(0, 50)


def finish(lanes, taken, reports):
    return {lane: expected.finish_ms for lane, expected in estimate(lanes, taken, reports).items()}


# -- what always holds -----------------------------------------------------------------------------


@given(some.sampled_from(LANES), steps, some.integers(0, 10**6), anything)
def test_a_lane_asked_for_by_name_is_that_lane(lane, taken, deadline, reports):
    choice = choose(lane, LANES, taken, deadline, reports=reports)
    assert (choice.lane, choice.reason) == (lane, "asked for by name")


@pytest.mark.parametrize("policy", ("fp8", "fp4"))
def test_a_lane_that_is_not_loaded_is_never_replaced(policy):
    with pytest.raises(
        RequestError, match=f"{policy} is not loaded on this server; loaded are bf16"
    ):
        choose(policy, ("bf16",))


@pytest.mark.parametrize("policy", PRECISIONS)
def test_without_any_lane_the_request_is_refused(policy):
    with pytest.raises(RequestError, match="loaded are none"):
        choose(policy, ())


@given(
    policies,
    some.permutations(LANES),
    some.integers(1, 3),
    steps,
    some.integers(0, 10**5),
    anything,
)
def test_the_lane_is_loaded_and_the_order_of_names_is_nothing(
    policy, names, many, taken, deadline, reports
):
    loaded = tuple(names[:many])

    def outcome(order):
        try:
            return choose(policy, order, taken, deadline, reports=reports)
        except RequestError as refusal:
            assert deadline and policy == "auto"
            return str(refusal)

    choice = outcome(loaded)
    assert isinstance(choice, str) or choice.lane in loaded and choice.reason
    assert choice == outcome(loaded[::-1])


@given(policies, some.permutations(LANES), some.integers(1, 3), some.integers(0, 10**5))
def test_as_long_as_nothing_is_measured_the_preference_holds(policy, names, many, deadline):
    loaded = tuple(names[:many])
    first = next(lane for lane in PREFERENCE[policy] if lane in loaded)
    assert choose(policy, loaded, 0, deadline).lane == first
    assert choose(policy, loaded, 0, deadline, reports={lane: NEW for lane in loaded}).lane == first


@given(steps, anything)
def test_best_is_the_widest(taken, reports):
    assert choose("best", LANES, taken, 1, reports=reports).lane == "bf16"


@given(steps, everything)
def test_draft_finishes_first(taken, reports):
    times = finish(LANES, taken, reports)
    assert times[choose("draft", LANES, taken, reports=reports).lane] == min(times.values())


@given(steps, everything)
def test_balanced_is_fp8_or_a_wider_lane_that_is_sooner(taken, reports):
    times = finish(LANES, taken, reports)
    lane = choose("balanced", LANES, taken, reports=reports).lane
    assert lane == ("bf16" if times["bf16"] < times["fp8"] else "fp8")


@given(steps, some.integers(1, 10**5), some.floats(0, 1000), everything)
def test_auto_is_the_widest_that_meets_the_deadline(taken, deadline, rest, reports):
    times = finish(LANES, taken, reports)
    in_time = [lane for lane in LANES if rest + times[lane] <= deadline]
    if in_time:
        assert choose("auto", LANES, taken, deadline, rest, reports).lane == in_time[0]
    else:
        with pytest.raises(RequestError, match="cannot be met") as refused:
            choose("auto", LANES, taken, deadline, rest, reports)
        assert refused.value.code == "DEADLINE_EXCEEDED"


@given(steps, everything)
def test_auto_without_a_deadline_leaves_a_lane_only_for_a_queue_worth_it(taken, reports):
    expected = estimate(LANES, taken, reports)
    chosen = choose("auto", LANES, taken, reports=reports).lane
    for lane in LANES[: LANES.index(chosen)]:
        assert expected[lane].wait_ms > TRIFLE_MS
        assert expected[lane].finish_ms > min(item.finish_ms for item in expected.values())


@given(steps, everything, some.sampled_from(LANES), counts, counts)
def test_more_to_do_never_draws_an_edit_to_a_lane(taken, reports, lane, edits, more):
    before = choose("auto", LANES, taken, reports=reports).lane
    assume(before != lane)
    load = reports[lane]
    fuller = LoadReport(
        load.edits + edits, load.steps + more, load.default_steps, load.step_seconds, load.silent
    )
    assert choose("auto", LANES, taken, reports=reports | {lane: fuller}).lane != lane


# -- by example ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "deadline", "reports", "lane", "why"),
    [
        (
            "auto",
            0,
            {"bf16": IDLE, "fp8": IDLE},
            "bf16",
            "auto: bf16 is the widest lane loaded, and its line is short",
        ),
        (
            "auto",
            0,
            {"bf16": BUSY, "fp8": IDLE},
            "fp8",
            "auto: bf16 has 5 edits before it (about 1000 ms); fp8 finishes in about 100 ms",
        ),
        (
            "auto",
            0,
            {"bf16": BUSY, "fp8": BUSY, "fp4": IDLE},
            "fp4",
            "auto: bf16 has 5 edits before it (about 1000 ms); fp4 finishes in about 100 ms",
        ),
        (
            "auto",
            0,
            {"bf16": BUSY, "fp8": BUSY},
            "bf16",
            "auto: bf16 is the widest lane loaded, and its line is short",
        ),
        (
            "auto",
            2000,
            {"bf16": BUSY, "fp8": IDLE},
            "bf16",
            "auto: bf16 is the widest lane that meets the deadline, denoising in about 1200 ms",
        ),
        (
            "auto",
            600,
            {"bf16": BUSY, "fp8": IDLE},
            "fp8",
            "auto: fp8 is the widest lane that meets the deadline, denoising in about 100 ms",
        ),
        (
            "auto",
            600,
            {"fp8": IDLE},
            "bf16",
            "auto: bf16 comes first, and its speed is not known yet",
        ),
        ("best", 50, {"bf16": BUSY, "fp8": IDLE}, "bf16", "best: the widest lane loaded"),
        (
            "balanced",
            0,
            {"bf16": IDLE, "fp8": IDLE},
            "fp8",
            "balanced: fp8 comes first, and no wider lane finishes sooner",
        ),
        (
            "balanced",
            0,
            {"bf16": IDLE, "fp8": BUSY},
            "bf16",
            "balanced: bf16 is wider than fp8 and finishes sooner, about 100 ms against about "
            "1200 ms",
        ),
        (
            "draft",
            0,
            {"bf16": IDLE, "fp8": BUSY, "fp4": IDLE},
            "fp4",
            "draft: fp4 finishes first, in about 100 ms",
        ),
        (
            "draft",
            0,
            {"bf16": IDLE, "fp8": BUSY, "fp4": BUSY},
            "bf16",
            "draft: bf16 finishes first, in about 100 ms",
        ),
        (
            "draft",
            0,
            {"bf16": IDLE, "fp8": NEW, "fp4": NEW},
            "fp4",
            "draft: fp4 finishes first, in about 100 ms",
        ),
        ("fp8", 50, {"bf16": IDLE, "fp8": BUSY}, "fp8", "asked for by name"),
        ("auto", 50, {}, "bf16", "auto: bf16 comes first, and its speed is not known yet"),
    ],
)
def test_the_lane_and_its_reason(policy, deadline, reports, lane, why):
    choice = choose(policy, LANES, 0, deadline, reports=reports)
    assert (choice.lane, choice.reason) == (lane, why)


def test_the_other_stages_need_some_of_the_deadline():
    reports = {"bf16": BUSY, "fp8": IDLE, "fp4": IDLE}
    assert choose("auto", LANES, 0, 1300, 50, reports).lane == "bf16"
    assert choose("auto", LANES, 0, 1300, 200, reports).lane == "fp8"


def test_the_only_lane_serves_every_policy():
    for policy in PREFERENCE:
        assert choose(policy, ("fp4",)).reason == "the only lane loaded"


def test_nobody_waits_for_more_steps_than_its_own_of_each_running_edit():
    """Edits take turns: a short one is done long before 50 steps of a long one are."""
    (expected,) = estimate(("bf16",), 2, {"bf16": LoadReport(1, 50, 10, 0.1)}).values()
    assert (round(expected.wait_ms), round(expected.finish_ms)) == (200, 400)


def test_a_step_that_goes_on_for_too_long_is_waited_for():
    (expected,) = estimate(("bf16",), 1, {"bf16": LoadReport(1, 1, 10, 0.1, silent=3.1)}).values()
    assert round(expected.wait_ms) == 3100


def test_a_deadline_that_no_lane_meets_is_refused_with_the_estimate():
    with pytest.raises(
        RequestError,
        match="DEADLINE_MS 50 cannot be met: fp8, which is the first to finish, needs about "
        "120 ms; allow more time",
    ):
        choose("auto", LANES, 0, 50, 20, {"bf16": BUSY, "fp8": IDLE})

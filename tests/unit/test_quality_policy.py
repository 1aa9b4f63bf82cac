"""The policy of answers: its settings, and the decisions over the attempts so far."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quality_policies import CERTAIN, LOADS, THRESHOLDS, policies, policy
from retouch.api.lanes import LANES
from retouch.launcher.paths import ROOT
from retouch.quality.policy.attempts import Attempt, Plan, best_attempt
from retouch.quality.policy.machine import State, branches, decide
from retouch.quality.policy.settings import parse_policy, read_policy
from retouch.quality.schema import SettingError

GOOD, UNSURE, SPOILED = 0.8, 0.45, 0.1
ASKED = Plan(7, "fp4", 8)


def attempt(score, lane="fp4", step="edit", seconds=1.0, seed=7, **options):
    return Attempt(Plan(seed, lane, 8), step, score, seconds, **options)


def state(*attempts, **options):
    seconds = sum(one.seconds for one in attempts)
    defaults = {"lanes": LANES, "attempts": attempts, "seconds": seconds}
    return State(ASKED, "remove", **(defaults | options))


def decided(settings_text, *attempts, seed=0, thresholds=THRESHOLDS, **options):
    """What is done next, without chance."""
    rng = random.Random(seed)
    return decide(policy(settings_text), thresholds, state(*attempts, **options), rng)


# -- settings --------------------------------------------------------------------------------------


def test_the_policy_is_off_by_default():
    assert not parse_policy("").enabled


def test_keys_that_are_left_out_have_their_defaults():
    policy_of_file = parse_policy("enabled = true\n[retry]\ntries = 3")
    assert policy_of_file.retry.tries == 3
    assert policy_of_file.retry.seconds == parse_policy("").retry.seconds
    assert policy_of_file.review == parse_policy("").review
    assert 0.01 <= policy_of_file.review.audit_share <= 0.02


def test_the_example_of_the_document_is_a_policy():
    document = (ROOT / "docs" / "quality-policy.md").read_text()
    (example,) = [part.split("```")[0] for part in document.split("```toml\n")[1:]]
    assert parse_policy(example).enabled


@pytest.mark.parametrize(
    "text, code, message",
    [
        ("enabled = 1", "WRONG_TYPE", "enabled must be true or false, not 1"),
        ("retry = 3", "WRONG_TYPE", "retry must be a table, not 3"),
        ("[retry]\ntries = 1.0", "WRONG_TYPE", "retry.tries must be a whole number, not 1.0"),
        ("[retry]\ntries = true", "WRONG_TYPE", "retry.tries must be a whole number, not True"),
        ("[retry]\nseconds = '9'", "WRONG_TYPE", "retry.seconds must be a number, not '9'"),
        ("[retry]\ntries = 17", "OUT_OF_RANGE", "retry.tries is 17; it must be from 0 to 16"),
        ("[retry]\nseconds = nan", "OUT_OF_RANGE", "retry.seconds is nan; it must be from 0 to"),
        ("[retry]\nseconds = inf", "OUT_OF_RANGE", "retry.seconds is inf; it must be from 0 to"),
        ("[widen]\ntries = 3", "OUT_OF_RANGE", "widen.tries is 3; it must be from 0 to 2"),
        ("[review]\naudit_share = 2", "OUT_OF_RANGE", "review.audit_share is 2; it must be from 0"),
        (
            "[degrade]\nnarrowest_lane = 'int8'",
            "OUT_OF_RANGE",
            "degrade.narrowest_lane is 'int8'; it must be one of bf16, fp8, fp4",
        ),
        ("[retry]\ntry = 1", "UNKNOWN_FIELD", "retry.try is unknown; allowed are tries, seconds"),
        ('"a\\nb" = 1', "UNKNOWN_FIELD", "'a\\nb' is unknown; allowed are enabled"),
        ("[hold]\n", "UNKNOWN_FIELD", "hold is unknown; allowed are enabled, evaluator, limits"),
        (
            "[best_of]\ntries = 5",
            "OUT_OF_RANGE",
            "best_of.tries is 5; it must be 4 (limits.tries) or less",
        ),
        ("enabled = ", "NOT_READABLE", "the policy is no TOML"),
    ],
)
def test_wrong_settings_are_one_sentence(text, code, message):
    with pytest.raises(SettingError) as caught:
        parse_policy(text)
    assert caught.value.code == code and str(caught.value).startswith(message)
    assert message.startswith(caught.value.field or "the policy")


def test_a_file_is_read(tmp_path):
    path = tmp_path / "quality.toml"
    path.write_text("enabled = true")
    assert read_policy(path) == parse_policy("enabled = true")


@pytest.mark.parametrize("data", (None, b"\xff", b"#" * (2 << 20)))
def test_an_unreadable_file_is_refused_without_its_path(tmp_path, data):
    path = tmp_path / "quality.toml"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(SettingError) as caught:
        read_policy(path)
    assert caught.value.code == "NOT_READABLE" and str(tmp_path) not in str(caught.value)


# -- decisions -------------------------------------------------------------------------------------


def test_the_first_edit_is_what_was_asked_for():
    decision = decided(CERTAIN)
    assert (decision.branch.step, decision.plan) == ("edit", ASKED)
    assert decision.branch.probability == 1.0


def test_a_good_answer_is_accepted():
    decision = decided(CERTAIN, attempt(GOOD))
    assert decision.is_final and decision.branch.step == "accept" and decision.best == 0


@pytest.mark.parametrize("value", (UNSURE, SPOILED))
def test_another_answer_is_tried_again_with_another_seed(value):
    decision = decided(CERTAIN, attempt(value))
    assert decision.branch.step == "retry" and decision.plan.lane == "fp4"
    assert decision.plan.seed != ASKED.seed and decision.plan.steps == ASKED.steps


def test_then_the_best_seed_is_tried_in_a_wider_lane():
    tried = [attempt(UNSURE, seed=5), attempt(SPOILED, step="retry", seed=6)]
    decision = decided(CERTAIN, *tried)
    assert decision.branch.step == "widen" and decision.plan == Plan(5, "fp8", 8)
    tried.append(attempt(SPOILED, "fp8", "widen", seed=5))
    decision = decided(CERTAIN, *tried)
    assert decision.branch.step == "widen" and decision.plan == Plan(5, "bf16", 8)


def test_a_lane_that_the_client_names_is_not_widened():
    tried = attempt(UNSURE), attempt(UNSURE, step="retry")
    decision = decided(CERTAIN, *tried, lanes=("fp4",))
    assert (decision.branch.step, decision.best) == ("hold", 0)


def test_an_adapter_is_kept_in_a_wider_lane():
    lanes = ("bf16", "fp8", "fp4", "bf16-sketch", "fp4-sketch")
    tried = attempt(UNSURE, "fp4-sketch"), attempt(UNSURE, "fp4-sketch", "retry")
    decision = decided(CERTAIN, *tried, lanes=lanes)
    assert decision.plan.lane == "bf16-sketch"


def test_best_of_makes_all_its_tries_and_takes_the_best():
    text = f"[best_of]\ntries = 3\n{CERTAIN}"
    tried = [attempt(0.7)]
    for value in (0.9, 0.65):
        decision = decided(text, *tried)
        assert decision.branch.step == "best of" and decision.plan.lane == "fp4"
        tried.append(attempt(value, step="best of", seed=decision.plan.seed))
    decision = decided(text, *tried)
    assert (decision.branch.step, decision.best) == ("accept", 1)
    assert len({one.plan.seed for one in tried}) == 3


def test_best_of_needs_no_thresholds():
    text = f"[best_of]\ntries = 2\n{CERTAIN}"
    assert decided(text, attempt(0.1), thresholds=None).branch.step == "best of"
    tried = attempt(0.1), attempt(0.2, step="best of")
    decision = decided(text, *tried, thresholds=None)
    assert (decision.branch.step, decision.best) == ("accept", 1)
    assert decision.branch.reason == "no thresholds"


NO_MORE = "[retry]\ntries = 0\n[widen]\ntries = 0\n"


@pytest.mark.parametrize(
    "text, value, step",
    [
        ("[review]\nhold = true\naudit_share = 0", UNSURE, "hold"),
        ("[review]\nhold = true\naudit_share = 0", SPOILED, "hold"),
        ("[review]\nhold = false\naudit_share = 0", UNSURE, "accept"),
        ("[review]\nhold = false\naudit_share = 0", SPOILED, "accept"),
        ("[refuse]\nenabled = true", UNSURE, "hold"),
        ("[refuse]\nenabled = true\n[review]\nrefused_share = 0", SPOILED, "refuse"),
    ],
)
def test_what_becomes_of_an_answer_that_stays_bad(text, value, step):
    decision = decided(NO_MORE + text, attempt(value))
    assert decision.branch.step == step and decision.branch.is_for_review == (step == "hold")


def test_an_answer_without_a_score_is_accepted_and_says_so():
    decision = decided(f"[best_of]\ntries = 3\n[refuse]\nenabled = true\n{CERTAIN}", attempt(None))
    assert (decision.branch.step, decision.branch.reason) == ("accept", "not scored")


def test_an_answer_without_a_score_is_preferred_to_a_spoiled_one():
    tried = attempt(SPOILED), attempt(None, step="retry")
    decision = decided(f"[refuse]\nenabled = true\n{CERTAIN}", *tried)
    assert (decision.branch.step, decision.best) == ("accept", 1)


def test_a_failed_try_ends_the_tries():
    tried = attempt(UNSURE), attempt(None, step="retry", has_failed=True)
    decision = decided(CERTAIN, *tried)
    assert (decision.branch.step, decision.best) == ("hold", 0)
    assert "a try has failed" in decision.branch.reason


def test_there_is_no_decision_where_every_attempt_has_failed():
    with pytest.raises(ValueError, match="every attempt has failed"):
        decided(CERTAIN, attempt(None, has_failed=True))


@pytest.mark.parametrize(
    "text, options, reason",
    [
        ("[limits]\ntries = 1\n", {}, "no tries left"),
        ("", {"load": 0.8}, "load 0.80"),
        ("[limits]\nseconds = 1.9\n", {}, "no time left"),
        ("", {"deadline": 1.9}, "no time left"),
        ("[retry]\nseconds = 0.9\n[widen]\nseconds = 0.9\n", {}, "nothing else to try"),
    ],
)
def test_every_bound_ends_the_tries(text, options, reason):
    assert decided(text + CERTAIN, attempt(UNSURE)).branch.step == (
        "hold" if not options else "retry"
    )
    decision = decided(text + CERTAIN, attempt(UNSURE), **options)
    assert decision.branch.step == "hold" and decision.branch.reason.endswith(reason)


DEGRADE = "[degrade]\nenabled = true\npreview = true\nleast_steps = 3\n"


@pytest.mark.parametrize(
    "load, lane, steps, is_preview",
    [
        (0.79, "bf16", 8, False),
        (0.8, "bf16", 4, False),
        (1.0, "fp8", 4, False),
        (2, "fp8", 1, True),
    ],
)
def test_load_degrades_the_first_edit_by_degrees(load, lane, steps, is_preview):
    start = State(Plan(7, "bf16", 8), "remove", LANES, load=load)
    decision = decide(policy(DEGRADE), THRESHOLDS, start, random.Random(0))
    assert decision.plan == Plan(7, lane, steps, is_preview)
    assert (decision.branch.step == "degrade") == (load >= 0.8)


def test_degrading_has_a_floor():
    text = "[degrade]\nenabled = true\nleast_steps = 3\nnarrowest_lane = 'fp8'\nsteps_share = 0.1"
    for asked, made in (
        (Plan(7, "fp8", 8), Plan(7, "fp8", 3)),
        (Plan(7, "bf16", 2), Plan(7, "fp8", 2)),
        (Plan(7, "fp4", 0), Plan(7, "fp4", 0)),
    ):
        start = State(asked, "remove", LANES, load=50)
        assert decide(policy(text), THRESHOLDS, start, random.Random(0)).plan == made


def test_a_preview_is_accepted_for_what_it_is():
    tried = attempt(None)
    tried = replace(tried, plan=replace(tried.plan, is_preview=True))
    assert decided("", tried).branch.reason == "preview only"


def test_a_policy_that_is_off_accepts_everything():
    off = policy("[best_of]\ntries = 3", enabled=False)
    for value in (GOOD, SPOILED, None):
        decision = decide(off, THRESHOLDS, state(attempt(value), load=9), random.Random(0))
        assert (decision.branch.step, decision.branch.reason) == ("accept", "policy is off")
    assert decide(off, THRESHOLDS, state(load=9), random.Random(0)).plan == ASKED


# -- chance ----------------------------------------------------------------------------------------


def test_an_audit_has_its_share_and_its_probability():
    rng = random.Random(3)
    sure = policy("[review]\naudit_share = 0.02")
    counts = Counter()
    for _ in range(3000):
        branch = decide(sure, THRESHOLDS, state(attempt(GOOD)), rng).branch
        assert branch.step == "accept"
        counts[branch.is_for_review, branch.probability] += 1
    assert set(counts) == {(True, 0.02), (False, 0.98)}
    assert 35 <= counts[True, 0.02] <= 90


def test_exploration_takes_the_other_step_by_its_share():
    rng = random.Random(3)
    exploring = policy("[explore]\nshare = 0.2")
    drawn = [decide(exploring, THRESHOLDS, state(attempt(UNSURE)), rng).branch for _ in range(600)]
    counts = Counter((branch.step, branch.probability) for branch in drawn)
    assert set(counts) == {("retry", 0.8), ("widen", 0.2)}
    assert 85 <= counts["widen", 0.2] <= 155


def test_the_same_generator_gives_the_same_decisions():
    first, second = (
        [decided("[explore]\nshare = 0.5", attempt(UNSURE), seed=seed) for seed in range(20)]
        for _ in range(2)
    )
    assert first == second


ATTEMPTS = st.builds(
    attempt,
    st.none() | st.floats(0, 1),
    st.sampled_from(LANES),
    st.sampled_from(("edit", "best of", "retry", "widen", "degrade")),
    st.sampled_from((0.1, 1.0, 3.0)),
    st.integers(0, 3),
    has_failed=st.booleans(),
)
STATES = st.builds(
    lambda attempts, load, deadline: state(*attempts, load=load, deadline=deadline),
    st.lists(ATTEMPTS, max_size=5),
    LOADS,
    st.sampled_from((None, 2.0, 50.0)),
)


@settings(max_examples=50)
@given(policies(), STATES, st.integers(0, 1000))
def test_probabilities_sum_to_one_and_every_bound_holds(any_policy, any_state, seed):
    best = best_attempt(any_state.attempts, "remove", THRESHOLDS)
    if any_state.attempts and best is None:
        return
    possible = branches(any_policy, THRESHOLDS, any_state)
    assert sum(branch.probability for branch in possible) == pytest.approx(1, abs=1e-12)
    assert all(0 < branch.probability <= 1 for branch in possible)
    decision = decide(any_policy, THRESHOLDS, any_state, random.Random(seed))
    assert decision.branch in possible and decision.possible == tuple(possible)
    assert decision.best == best
    if any_state.attempts and not decision.is_final:
        assert len(any_state.attempts) < any_policy.limits.tries
        assert any_state.seconds <= any_policy.limits.seconds
        assert any_state.deadline is None or any_state.seconds <= any_state.deadline
        assert any_state.load < any_policy.limits.load
        used = [one.plan for one in any_state.attempts]
        assert decision.plan not in used


@settings(max_examples=40)
@given(st.lists(ATTEMPTS, min_size=1, max_size=6))
def test_no_attempt_has_a_higher_score_than_the_best(attempts):
    best = best_attempt(attempts, "remove", THRESHOLDS)
    made = [one for one in attempts if not one.has_failed]
    if best is None:
        assert not made
        return
    assert attempts[best] in made
    scores = [one.score for one in made if one.score is not None]
    if any(score >= 0.3 for score in scores):
        assert attempts[best].score == max(scores)
    elif len(scores) < len(made):
        assert attempts[best].score is None
    else:
        assert attempts[best].score == max(scores)

"""What is done next for an answer: a pure decision over the attempts so far.

`branches` says what may be done and with which probability, `decide` draws one of them. All chance
comes from the generator that is handed in, so that a decision's probability is exact, and later
estimates can weigh it by 1 / p."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from retouch.api.limits import MAX_SEED
from retouch.quality.policy.attempts import (
    GOOD,
    NO_THRESHOLDS,
    NOT_SCORED,
    PREVIEW_ONLY,
    SPOILED,
    Attempt,
    FinalStep,
    Plan,
    Step,
    best_attempt,
    narrower_lane,
    verdict,
    wider_lane,
    width,
)
from retouch.quality.policy.settings import Bound, Degrade, Policy
from retouch.quality.thresholds.thresholds import Thresholds

DELIVERED = (GOOD, NOT_SCORED, NO_THRESHOLDS, PREVIEW_ONLY)  # verdicts that are accepted at once
OFF = "policy is off"


@dataclass(frozen=True)
class State:
    """An answer that is being made. `request` is the edit that was asked for, `lanes` those that it
    may have. `seconds` have passed, of `deadline` where there is one. `load` is the server's: 1 is
    at capacity."""

    request: Plan
    operation: str
    lanes: tuple[str, ...]
    attempts: tuple[Attempt, ...] = ()
    seconds: float = 0.0
    load: float = 0.0
    deadline: float | None = None


@dataclass(frozen=True)
class Branch:
    """One possible decision. `plan` is the edit that it makes; a final step has none, and
    `is_for_review` says whether people are shown the answer."""

    step: Step
    reason: str
    probability: float
    plan: Plan | None = None
    has_new_seed: bool = False
    is_for_review: bool = False


@dataclass(frozen=True)
class Decision:
    """The branch that was drawn, of those that were `possible`. `best` is the index of the attempt
    that a final step is about, and `score` that attempt's."""

    branch: Branch
    possible: tuple[Branch, ...]
    plan: Plan | None
    best: int | None
    score: float | None = None

    @property
    def is_final(self) -> bool:
        return self.branch.step in get_args(FinalStep)

    def to_info(self) -> dict[str, Any]:
        """What INFO says of it."""
        info: dict[str, Any] = {
            "step": self.branch.step,
            "reason": self.branch.reason,
            "probability": self.branch.probability,
        }
        if self.plan:
            info |= {"lane": self.plan.lane, "seed": self.plan.seed, "steps": self.plan.steps}
            info |= {"preview": True} if self.plan.is_preview else {}
        else:
            info |= {"review": self.branch.is_for_review, "score": self.score}
        return info


def decide(
    policy: Policy, thresholds: Thresholds | None, state: State, rng: random.Random
) -> Decision:
    """The next action. ValueError where every attempt has failed, which is no state to go on
    from."""
    possible = tuple(branches(policy, thresholds, state))
    branch = _draw(possible, rng)
    plan = branch.plan
    if plan and branch.has_new_seed:
        plan = replace(plan, seed=_new_seed(state, rng))
    best = best_attempt(state.attempts, state.operation, thresholds)
    score = None if best is None else state.attempts[best].score
    return Decision(branch, possible, plan, best, score)


def branches(policy: Policy, thresholds: Thresholds | None, state: State) -> list[Branch]:
    """What may be done next; the probabilities sum to one. ValueError as in `decide`."""
    if not state.attempts:
        return [_first_edit(policy, state)]
    best = best_attempt(state.attempts, state.operation, thresholds)
    if best is None:
        raise ValueError("every attempt has failed")
    if not policy.enabled:
        return [Branch("accept", OFF, 1.0)]
    attempt = state.attempts[best]
    judged = verdict(attempt, state.operation, thresholds)
    stop = _stop(policy, state)
    if not stop and _obstacle(policy.best_of, state, "best of", 1) is None:
        plan = state.attempts[0].plan
        reason = f"{len(state.attempts)} of {policy.best_of.tries} tries"
        return [Branch("best of", reason, 1.0, plan, has_new_seed=True)]
    if judged in DELIVERED:
        return _with_audit("accept", judged, policy.review.audit_share, judged != PREVIEW_ONLY)
    if not stop:
        options = _further_edits(policy, state, attempt, judged)
        if options:
            return _explored(options, policy.explore.share)
        stop = "nothing else to try"
    return _unaccepted(policy, judged, f"{judged}; {stop}")


# -- the first edit --------------------------------------------------------------------------------


def _first_edit(policy: Policy, state: State) -> Branch:
    plan = state.request
    if not (policy.enabled and policy.degrade.enabled):
        return Branch("edit", "first try", 1.0, plan)
    degraded = _degraded(policy.degrade, plan, state)
    if degraded == plan:
        return Branch("edit", "first try", 1.0, plan)
    changes = [
        text
        for text, is_so in (
            ("preview only", degraded.is_preview),
            ("fewer steps", degraded.steps < plan.steps and not degraded.is_preview),
            ("narrower lane", degraded.lane != plan.lane),
        )
        if is_so
    ]
    return Branch("degrade", f"load {state.load:.2f}: {', '.join(changes)}", 1.0, degraded)


def _degraded(degrade: Degrade, plan: Plan, state: State) -> Plan:
    if state.load >= degrade.narrower_lane_from:
        lane = narrower_lane(plan.lane, state.lanes, degrade.narrowest_lane)
        plan = replace(plan, lane=lane or plan.lane)
    if degrade.preview and state.load >= degrade.preview_from:
        return replace(plan, steps=1, is_preview=True)
    if state.load >= degrade.fewer_steps_from and plan.steps > degrade.least_steps:
        fewer = max(degrade.least_steps, round(plan.steps * degrade.steps_share))
        plan = replace(plan, steps=fewer)
    return plan


# -- further edits ---------------------------------------------------------------------------------


def _stop(policy: Policy, state: State) -> str | None:
    """Why there is no further edit at all, or None."""
    last = state.attempts[-1]
    if last.has_failed:
        return "a try has failed"
    if last.score is None or last.plan.is_preview:
        return NOT_SCORED  # another try could not be compared with this one
    if len(state.attempts) >= policy.limits.tries:
        return "no tries left"
    if state.load >= policy.limits.load:
        return f"load {state.load:.2f}"
    if state.seconds + _seconds_of_an_edit(state) > _seconds_allowed(policy, state):
        return "no time left"
    return None


def _seconds_allowed(policy: Policy, state: State) -> float:
    seconds = policy.limits.seconds
    return seconds if state.deadline is None else min(seconds, state.deadline)


def _seconds_of_an_edit(state: State) -> float:
    """What the next edit is expected to take: as long as the longest so far."""
    return max(attempt.seconds for attempt in state.attempts)


def _obstacle(bound: Bound, state: State, step: Step, first: int = 0) -> str | None:
    """Why a step is not taken again, or None. `first` of its tries were made before it."""
    taken = [attempt for attempt in state.attempts if attempt.step == step]
    if first + len(taken) >= bound.tries:
        return f"no tries of {step} left"
    spent = sum(attempt.seconds for attempt in taken)
    if spent + _seconds_of_an_edit(state) > bound.seconds:
        return f"no time of {step} left"
    return None


def _further_edits(policy: Policy, state: State, best: Attempt, reason: str) -> list[Branch]:
    """Another seed in the lane of the best attempt, and its seed in a wider lane."""
    options = []
    if _obstacle(policy.retry, state, "retry") is None:
        options.append(Branch("retry", reason, 1.0, best.plan, has_new_seed=True))
    widest = min((attempt.plan.lane for attempt in state.attempts), key=width)
    lane = wider_lane(widest, state.lanes)
    if lane and _obstacle(policy.widen, state, "widen") is None:
        options.append(Branch("widen", reason, 1.0, replace(best.plan, lane=lane)))
    return options


def _explored(options: Sequence[Branch], share: float) -> list[Branch]:
    """The first option, or by chance one of the others."""
    first, others = options[0], options[1:]
    if not others or share == 0:
        return [first]
    explored = [
        replace(other, reason=f"{other.reason}, explored", probability=share / len(others))
        for other in others
    ]
    return [replace(first, probability=1 - share), *explored]


# -- the end ---------------------------------------------------------------------------------------


def _unaccepted(policy: Policy, judged: str, reason: str) -> list[Branch]:
    """The end of an answer that no try has made good enough."""
    if judged == SPOILED and policy.refuse.enabled:
        return _with_audit("refuse", reason, policy.review.refused_share)
    if policy.review.hold:
        return [Branch("hold", reason, 1.0, is_for_review=True)]
    return _with_audit("accept", reason, policy.review.audit_share)


def _with_audit(step: FinalStep, reason: str, share: float, may_audit: bool = True) -> list[Branch]:
    """A final step, and by chance the same with a review."""
    if share == 0 or not may_audit:
        return [Branch(step, reason, 1.0)]
    audited = Branch(step, reason, share, is_for_review=True)
    return [audited] if share == 1 else [Branch(step, reason, 1 - share), audited]


def _draw(options: Sequence[Branch], rng: random.Random) -> Branch:
    """One of the branches, by their probabilities."""
    if len(options) == 1:
        return options[0]
    rest = rng.random()
    for branch in options:
        rest -= branch.probability
        if rest < 0:
            return branch
    return options[-1]


def _new_seed(state: State, rng: random.Random) -> int:
    """A seed that no attempt has had."""
    used = {attempt.plan.seed for attempt in state.attempts}
    while (seed := rng.randint(0, MAX_SEED)) in used:
        continue
    return seed

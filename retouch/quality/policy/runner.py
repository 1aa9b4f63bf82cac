"""Makes one answer by the policy: edits, scores and decides until a decision is final."""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar, cast

from retouch.api.errors import Cancelled
from retouch.api.response import Scores
from retouch.quality.policy.attempts import Attempt, EditStep, FinalStep, Plan, best_attempt
from retouch.quality.policy.bounded_call import BoundedCalls
from retouch.quality.policy.machine import Decision, State, decide
from retouch.quality.policy.settings import Policy
from retouch.quality.thresholds.thresholds import Thresholds

LOG = logging.getLogger(__name__)
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class PolicyRequest:
    """What is asked for. `lanes` are those that the answer may have: one where the client names it.
    `deadline` is in seconds from now."""

    request_id: str
    seed: int
    lane: str
    steps: int = 0
    operation: str = ""
    lanes: tuple[str, ...] = ()
    deadline: float | None = None


@dataclass
class PolicyResult(Generic[Answer]):
    """The best answer, what becomes of it, and how it came about. `decisions` are for INFO; `score`
    is that of the answer, None where it has none."""

    answer: Answer
    outcome: FinalStep
    plan: Plan
    score: Scores | None
    is_for_review: bool
    decisions: list[dict[str, Any]]
    attempts: tuple[Attempt, ...]


class Log(Protocol):
    """What keeps the decisions, such as a DecisionLog. It never fails."""

    def write(self, record: dict[str, Any], /) -> None: ...


@dataclass
class PolicyRunner:
    """What all answers of a server or of a loop have in common. `load` returns the server's load, 1
    at capacity; `clock` counts seconds, `now` is the time of day."""

    policy: Policy
    thresholds: Thresholds | None = None
    rng: random.Random = field(default_factory=random.Random)
    log: Log | None = None
    load: Callable[[], float] = lambda: 0.0
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], float] = time.time
    calls: BoundedCalls = field(default_factory=BoundedCalls)

    def run(
        self,
        request: PolicyRequest,
        edit: Callable[[int, str, int], Answer],
        score: Callable[[Answer], Scores],
    ) -> PolicyResult[Answer]:
        """The answer to a request, by `edit(seed, lane, steps)` and `score(answer)`.

        What the first edit raises goes to the caller, and so does Cancelled. A further edit that
        fails ends the tries, and an evaluator that fails or is late leaves the answer without a
        score: neither fails a request."""
        return _Run(self, request, edit, score).run()


class _Run(Generic[Answer]):
    """One answer in the making. Only the best answer so far is kept."""

    def __init__(
        self,
        runner: PolicyRunner,
        request: PolicyRequest,
        edit: Callable[[int, str, int], Answer],
        score: Callable[[Answer], Scores],
    ):
        self._runner = runner
        self._request = request
        self._edit = edit
        self._score = score
        self._began = runner.clock()
        self._best: tuple[Answer, Scores | None] | None = None
        self._decisions: list[dict[str, Any]] = []
        self._state = State(
            Plan(request.seed, request.lane, request.steps),
            request.operation,
            request.lanes or (request.lane,),
            load=runner.load(),
            deadline=request.deadline,
        )

    def run(self) -> PolicyResult[Answer]:
        while True:
            decision = self._decide()
            if decision.plan is None:
                return self._result(decision)
            self._try(decision.plan, decision)

    def _decide(self) -> Decision:
        runner = self._runner
        self._state = replace(self._state, seconds=self._seconds(), load=runner.load())
        decision = decide(runner.policy, runner.thresholds, self._state, runner.rng)
        if runner.policy.enabled:
            self._decisions.append(decision.to_info())
            if runner.log:
                runner.log.write(self._record(decision))
        return decision

    def _try(self, plan: Plan, decision: Decision) -> None:
        """Make one edit and its score."""
        step = cast(EditStep, decision.branch.step)
        before = self._seconds()
        try:
            answer = self._edit(plan.seed, plan.lane, plan.steps)
        except Cancelled:
            raise
        except Exception:
            if not self._state.attempts:
                raise
            LOG.warning("a further try (%s) has failed", step, exc_info=True)
            self._add(Attempt(plan, step, None, self._seconds() - before, has_failed=True))
            return
        score = None if plan.is_preview else self._scored(answer)
        value = score and score.score
        self._add(Attempt(plan, step, value, self._seconds() - before))
        attempts = self._state.attempts
        best = best_attempt(attempts, self._request.operation, self._runner.thresholds)
        if best == len(attempts) - 1:
            self._best = answer, score

    def _add(self, attempt: Attempt) -> None:
        self._state = replace(self._state, attempts=(*self._state.attempts, attempt))

    def _scored(self, answer: Answer) -> Scores | None:
        """The score, unless the evaluator fails, is late, or is not the thresholds'."""
        runner = self._runner
        if not runner.policy.enabled:
            return None
        seconds = runner.policy.evaluator.seconds
        if self._request.deadline is not None:
            seconds = min(seconds, self._request.deadline - self._seconds())
        score = runner.calls.call(lambda: self._score(answer), seconds)
        if not isinstance(score, Scores) or not _is_valid(score):
            return None
        if runner.thresholds and score.evaluator != runner.thresholds.evaluator:
            return None
        return score

    def _result(self, decision: Decision) -> PolicyResult[Answer]:
        assert self._best is not None and decision.best is not None
        answer, score = self._best
        return PolicyResult(
            answer,
            cast(FinalStep, decision.branch.step),
            self._state.attempts[decision.best].plan,
            score,
            decision.branch.is_for_review,
            self._decisions,
            self._state.attempts,
        )

    def _seconds(self) -> float:
        return self._runner.clock() - self._began

    def _record(self, decision: Decision) -> dict[str, Any]:
        """A line of the log: the decision, what else was possible, and what it was taken on."""
        runner, state = self._runner, self._state
        possible = [(one.step, one.is_for_review, one.probability) for one in decision.possible]
        best_score = self._best[1] if self._best else None
        return {
            "request_id": self._request.request_id,
            "number": len(self._decisions) - 1,
            "time": round(runner.now(), 3),
            **decision.to_info(),
            "final": decision.is_final,
            "operation": self._request.operation,
            "branches": possible,
            "tries": len(state.attempts),
            "scores": [attempt.score for attempt in state.attempts],
            "best": asdict(best_score) if best_score else None,
            "seconds": round(state.seconds, 3),
            "load": state.load,
            "thresholds": runner.thresholds.data_sha256 if runner.thresholds else None,
        }


def _is_valid(scores: Scores) -> bool:
    numbers = (scores.score, scores.consistency, scores.instruction, scores.plausibility)
    return all(math.isfinite(number) and 0 <= number <= 1 for number in numbers)

"""The edits that were tried for one answer, their scores, and which of them is the best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from retouch.api.lanes import LANES, precision_of
from retouch.quality.thresholds.thresholds import Thresholds

EditStep = Literal["edit", "best of", "retry", "widen", "degrade"]
FinalStep = Literal["accept", "hold", "refuse"]
Step = Literal[EditStep, FinalStep]
Verdict = Literal[
    "score at or above accept_from",
    "score between the thresholds",
    "score below reject_below",
    "not scored",
    "no thresholds",
    "preview only",
]
GOOD: Verdict = "score at or above accept_from"
UNSURE: Verdict = "score between the thresholds"
SPOILED: Verdict = "score below reject_below"
NOT_SCORED: Verdict = "not scored"
NO_THRESHOLDS: Verdict = "no thresholds"
PREVIEW_ONLY: Verdict = "preview only"

# thresholds differ by lane, so an accepted score may be lower than another lane's reviewed one
RANK: dict[Verdict, int] = {
    GOOD: 3,
    UNSURE: 2,
    NO_THRESHOLDS: 2,
    PREVIEW_ONLY: 2,
    NOT_SCORED: 1,
    SPOILED: 0,
}


@dataclass(frozen=True)
class Plan:
    """One edit to be made. `steps` is 0 for the lane's default."""

    seed: int
    lane: str
    steps: int = 0
    is_preview: bool = False


@dataclass(frozen=True)
class Attempt:
    """One edit that was made, the `step` that it was made for, and the `seconds` that it and its
    score took. `score` is None where there is none; an edit that `has_failed` has no answer."""

    plan: Plan
    step: EditStep
    score: float | None
    seconds: float
    has_failed: bool = False


def verdict(attempt: Attempt, operation: str, thresholds: Thresholds | None) -> Verdict:
    """What the thresholds of the attempt's lane say of its score."""
    if attempt.plan.is_preview:
        return PREVIEW_ONLY
    if attempt.score is None:
        return NOT_SCORED
    limits = thresholds and thresholds.find(attempt.plan.lane, operation)
    if not limits:
        return NO_THRESHOLDS
    if attempt.score >= limits.accept_from:
        return GOOD
    return SPOILED if attempt.score < limits.reject_below else UNSURE


def best_attempt(
    attempts: Sequence[Attempt], operation: str, thresholds: Thresholds | None
) -> int | None:
    """The index of the best attempt by RANK, then by score, then the first; None where all have
    failed."""

    def key(index: int) -> tuple[int, float, int]:
        attempt = attempts[index]
        rank = RANK[verdict(attempt, operation, thresholds)]
        return rank, -1.0 if attempt.score is None else attempt.score, -index

    made = [index for index, attempt in enumerate(attempts) if not attempt.has_failed]
    return max(made, key=key, default=None)


def wider_lane(lane: str, lanes: Sequence[str]) -> str | None:
    """The next wider of the lanes with the same adapter."""
    wider = [other for other in _relatives(lane, lanes) if width(other) < width(lane)]
    return max(wider, key=width, default=None)


def narrower_lane(lane: str, lanes: Sequence[str], narrowest: str) -> str | None:
    """The next narrower, of those that are at least as wide as `narrowest`."""
    return min(
        (
            other
            for other in _relatives(lane, lanes)
            if width(lane) < width(other) <= width(narrowest)
        ),
        key=width,
        default=None,
    )


def _relatives(lane: str, lanes: Sequence[str]) -> list[str]:
    adapter = lane.partition("-")[2]
    return [other for other in lanes if other.partition("-")[2] == adapter]


def width(lane: str) -> int:
    """How narrow a lane is, 0 for the widest."""
    return LANES.index(precision_of(lane))

"""Which edits take the next step: the one that is done soonest, with whoever shares its step at a
gain.

Edits of equal size that share a saturated processor are all late; so edits share a step as far as
that makes them wait no longer, on average, than one after the other. Short work goes first, which
lets a small edit pass a large one, and waiting makes work shorter in this order, so that no large
one starves. What would miss its deadline goes before all."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

from retouch.engine.cost_model import Cost

AGEING = (
    0.5  # seconds that a second of waiting takes off the work that an edit is thought to have left
)
URGENT = 1.5  # an edit with less time than this many times its own work goes before all others
MOST_SHARED = 16  # edits in a step
MOST_BYTES = 4 << 30  # that a shared step holds while it runs


@dataclass(frozen=True)
class BatchKey:
    """What a step on an edit is made of: edits can share one when all of it is equal."""

    tokens: int
    reference: int
    kind: Hashable = None


class Candidate(Protocol):
    """An edit with `steps` still to take. Times are seconds of one clock; a `deadline` may be
    infinite; a higher `priority` goes first."""

    size: BatchKey
    steps: int
    admitted: float
    deadline: float
    priority: int


def pick(
    candidates: Sequence[Candidate], cost: Cost, now: float, pace: float = 1.0, free: int = 1
) -> list[Candidate]:
    """Those to step now, one at least; `pace` is how many times longer steps take than `cost` says,
    `free` the workers that have nothing to do, the one that asks among them: none shares a step
    that could take one by itself."""
    order = sorted(candidates, key=lambda each: _rank(each, cost, now, pace))
    first = order[0]
    fellows = [
        each for each in order if each.size == first.size and each.priority == first.priority
    ]
    return fellows[: _shared(math.ceil(len(fellows) / free), first.size, cost)]


def work(candidate: Candidate, cost: Cost, pace: float = 1.0) -> float:
    """Seconds of an edit's own steps, taken alone."""
    return candidate.steps * cost.seconds(1, candidate.size.tokens, candidate.size.reference) * pace


def _rank(each: Candidate, cost: Cost, now: float, pace: float) -> tuple[float, ...]:
    left = work(each, cost, pace)
    if each.deadline - now < URGENT * left:
        return -each.priority, 0, each.deadline
    return -each.priority, 1, left - AGEING * (now - each.admitted)


def _shared(most: int, size: BatchKey, cost: Cost) -> int:
    """How many of `most` equal edits share a step."""
    count = 1
    for more in range(2, min(most, MOST_SHARED) + 1):
        if cost.bytes(more, size.tokens, size.reference) > MOST_BYTES:
            break
        if cost.seconds(more, size.tokens, size.reference) <= cost.mean_wait(
            more, size.tokens, size.reference
        ):
            count = more
    return count

"""The scheduling policy: which edits take the next step together.

Equal edits that share a saturated processor are all late, so edits share a step only while that
shortens their mean wait. Short work goes first, which lets a small edit pass a large one. Waiting
raises an edit's rank, so that no large edit starves. An edit about to miss its deadline goes before
all others."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from retouch.engine.cost_model import Cost

AGEING = 0.5  # seconds of work that a second of waiting takes off an edit's rank
URGENT = 1.5  # an edit is urgent when its time left is below this many times its remaining work
MAX_BATCH = 16  # edits in a step
MAX_STEP_BYTES = 4 << 30  # of activations in a step


@dataclass(frozen=True)
class BatchKey:
    """The shape of an edit's step, and its adapters. Edits with equal keys can share a step."""

    target_tokens: int
    reference_tokens: int
    input_shapes: Hashable = None
    adapters: Hashable = ()


class Candidate(Protocol):
    """An edit with `steps` left. Times are seconds of one clock. `deadline` may be infinite. A
    higher `priority` goes first. `kept_bytes` are those that steps on its region keep at most."""

    admitted: float
    deadline: float
    priority: int

    @property
    def batch_key(self) -> BatchKey: ...
    @property
    def steps(self) -> int: ...
    @property
    def kept_bytes(self) -> int: ...


AnyCandidate = TypeVar("AnyCandidate", bound=Candidate)


def schedule(
    candidates: Sequence[AnyCandidate],
    cost: Cost,
    now: float,
    slowdown: float = 1.0,
    idle_workers: int = 1,
) -> list[AnyCandidate]:
    """The edits of the next step, at least one; `candidates` must not be empty.

    `slowdown` is the ratio of measured step times to those of `cost`. `idle_workers` counts the
    workers without a step, the calling one included. Edits are spread over them before any share a
    step."""
    ranked = sorted(candidates, key=lambda edit: _rank(edit, cost, now, slowdown))
    first = ranked[0]
    equal = [
        edit
        for edit in ranked
        if edit.batch_key == first.batch_key and edit.priority == first.priority
    ]
    share = math.ceil(len(equal) / idle_workers)
    return equal[: _batch_size(share, first.batch_key, cost)]


def remaining_seconds(edit: Candidate, cost: Cost, slowdown: float = 1.0) -> float:
    """Seconds of an edit's remaining steps when it takes them alone."""
    key = edit.batch_key
    return edit.steps * cost.seconds(1, key.target_tokens, key.reference_tokens) * slowdown


def _rank(edit: Candidate, cost: Cost, now: float, slowdown: float) -> tuple[float, ...]:
    """The lowest rank goes first."""
    remaining = remaining_seconds(edit, cost, slowdown)
    if edit.deadline - now < URGENT * remaining:
        return -edit.priority, 0, edit.deadline
    return -edit.priority, 1, remaining - AGEING * (now - edit.admitted)


def _batch_size(limit: int, key: BatchKey, cost: Cost) -> int:
    """The largest number of equal edits, up to `limit`, that gain from sharing a step."""
    best = 1
    for batch in range(2, min(limit, MAX_BATCH) + 1):
        shape = (batch, key.target_tokens, key.reference_tokens)
        if cost.activation_bytes(*shape) > MAX_STEP_BYTES:
            break
        if cost.seconds(*shape) <= cost.mean_wait(*shape):
            best = batch
    return best

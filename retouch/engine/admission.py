"""Whether an edit can be taken on: there are bounds on how many run and on what they keep, and
deadlines to be met.

Whoever is refused is told at once, and when to come again; nothing waits without bound.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from retouch.api.errors import RequestError
from retouch.engine.cost_model import Cost
from retouch.engine.scheduler import Candidate, work


@dataclass(frozen=True)
class Limits:
    """Of all edits together: how many, and the bytes that they keep between their steps. One alone
    is always taken."""

    edits: int = 64
    bytes: int = 1 << 30


def refuse(
    edit: Candidate,
    others: Sequence[Candidate],
    limits: Limits,
    cost: Cost,
    pace: float = 0.0,
    workers: int = 1,
) -> None:
    """RequestError when `edit` cannot be taken on beside the `others`, which `workers` step side by
    side.

    `pace` is how many times longer steps take than `cost` says, 0.0 as long as it is not known:
    then no deadline is too short."""
    kept = sum(cost.kept * each.size.reference for each in (*others, edit))
    if others and (len(others) >= limits.edits or kept > limits.bytes):
        wait = sum(work(each, cost, pace or 1.0) for each in others) / workers
        reason = f"{len(others)} edits are running already" + (
            " and keep as much as they may" if kept > limits.bytes else ""
        )
        pause = max(wait, 0.1)
        raise RequestError(
            f"{reason}; try again in {pause:.1f} s", "UNAVAILABLE", retry_after=pause
        )
    own = work(edit, cost, pace)
    if time.monotonic() + own > edit.deadline:
        raise RequestError(
            f"DEADLINE_MS leaves too little: denoising alone takes about {own * 1000:.0f} ms; allow more time or "
            "ask for fewer steps",
            "DEADLINE_EXCEEDED",
            field="DEADLINE_MS",
        )

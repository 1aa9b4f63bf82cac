"""Admission: whether an edit can start now.

Bounds hold for the number of running edits and for the memory that they keep. A deadline must be
reachable. An edit that cannot start is refused at once, with the time to retry; no queue is
unbounded."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from retouch.api.errors import RequestError
from retouch.engine.cost_model import Cost
from retouch.engine.scheduler import Candidate, remaining_seconds


@dataclass(frozen=True)
class Limits:
    """Limits over all admitted edits: their number, and the bytes that they keep between steps. A
    single edit is always admitted."""

    edits: int = 64
    bytes: int = 1 << 30


def check_admission(
    edit: Candidate,
    others: Sequence[Candidate],
    limits: Limits,
    cost: Cost,
    slowdown: float = 0.0,
    workers: int = 1,
) -> None:
    """RequestError when `edit` cannot run beside the `others`, which `workers` threads step.

    `slowdown` is the ratio of measured step times to those of `cost`, 0.0 before the first step.
    Without it no deadline is too short."""
    running = (*others, edit)
    tokens = sum(candidate.batch_key.reference_tokens for candidate in running)
    kept = sum(candidate.kept_bytes for candidate in running)
    is_memory_full = cost.kv_bytes_per_token * tokens + kept > limits.bytes
    if others and (len(others) >= limits.edits or is_memory_full):
        work = sum(remaining_seconds(other, cost, slowdown or 1.0) for other in others)
        retry_after = max(work / workers, 0.1)
        reason = f"{len(others)} edits are running already" + (
            " and keep as much as they may" if is_memory_full else ""
        )
        raise RequestError(
            f"{reason}; try again in {retry_after:.1f} s", "UNAVAILABLE", retry_after=retry_after
        )
    needed = remaining_seconds(edit, cost, slowdown)
    if time.monotonic() + needed > edit.deadline:
        raise RequestError(
            f"DEADLINE_MS leaves too little: denoising alone takes about {needed * 1000:.0f} ms; "
            "allow more time or ask for fewer steps",
            "DEADLINE_EXCEEDED",
            field="DEADLINE_MS",
        )

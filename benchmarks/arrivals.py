"""Poisson arrivals of edits, the same for every server that is compared."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmarks.held_out_edits import Prepared
from retouch.engine.edit import Edit
from retouch.engine.edit_state import Progress
from retouch.families.denoise_request import DenoiseRequest

PATIENCE = 120.0  # seconds after the last arrival


class Server(Protocol):
    """Takes edits; an Engine is one."""

    def admit(self, edit: Edit) -> None: ...

    def stop(self) -> None: ...


@dataclass(frozen=True)
class Arrival:
    """`at` seconds after the start; `whole` edits denoise the full frame."""

    at: float
    request: DenoiseRequest
    whole: bool


@dataclass
class Served:
    """One arrival: seconds from its due time to its first preview and to its end."""

    arrival: Arrival
    preview: float | None = None
    latency: float | None = None
    failure: Exception | None = None


def poisson(
    prepared: Sequence[Prepared],
    rate: float,
    count: int,
    whole: float,
    steps: int,
    previews: int,
    seed: int,
) -> list[Arrival]:
    """`count` edits at `rate` a second, a share `whole` of them full-frame."""
    rng = random.Random(seed)
    at = 0.0
    arrivals = []
    for number in range(count):
        at += rng.expovariate(rate)
        full = rng.random() < whole
        arrivals.append(
            Arrival(at, rng.choice(prepared).denoise_request(full, number, steps, previews), full)
        )
    return arrivals


def replay(arrivals: Sequence[Arrival], server: Server) -> list[Served]:
    """Admit each edit at its time. Return when all have ended, and stop the server."""
    results = [Served(arrival) for arrival in arrivals]
    over = threading.Semaphore(0)
    start = time.monotonic() + 0.05
    for served in results:
        due = start + served.arrival.at
        time.sleep(max(0.0, due - time.monotonic()))
        server.admit(_edit(served, due, over))
    for _ in results:
        if not over.acquire(timeout=PATIENCE):
            raise TimeoutError(f"not all edits ended within {PATIENCE:g} s")
    server.stop()
    if failures := [result.failure for result in results if result.failure]:
        raise failures[0]
    return results


def _edit(served: Served, due: float, over: threading.Semaphore) -> Edit:
    def emit(progress: Progress) -> None:
        if progress.preview is not None and served.preview is None:
            served.preview = time.monotonic() - due

    def end(failure: Exception | None) -> None:
        served.latency = time.monotonic() - due
        served.failure = failure
        over.release()

    return Edit(str(id(served)), served.arrival.request, emit, end)

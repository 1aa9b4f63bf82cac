"""Outcomes of requests, counted by kind, with an example of each failure."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field

ANSWERED = "answered"
REFUSED = "refused"
DROPPED = "dropped"  # the connection was closed without an answer
FAILED = "failed"  # an internal error, or an error that nobody can act on
HUNG = "hung"  # no answer within the time-out
BAD = (FAILED, HUNG)
# what no error message may hold: paths, tracebacks, names of shared memory
LEAKS = ("Traceback", "/home/", "/root/", "/work/", "/usr/", "/dev/shm", "shm_region", 'File "')
EXAMPLES = 5


def outcome_of_message(message: str, is_internal: bool) -> str:
    """REFUSED for a clear error, FAILED for an internal or leaking one."""
    leaks = any(leak in message for leak in LEAKS)
    return FAILED if is_internal or leaks or not message.strip() else REFUSED


@dataclass
class Outcomes:
    """Counts of one part of the attack. Several threads may add to it."""

    part: str
    counts: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    slowest: float = 0.0  # seconds
    bad: tuple[str, ...] = BAD
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, outcome: str, detail: str = "", seconds: float = 0.0) -> None:
        with self._lock:
            self.counts[outcome] += 1
            self.slowest = max(self.slowest, seconds)
            if outcome in self.bad and len(self.examples) < EXAMPLES:
                self.examples.append(f"{outcome}: {detail[:300]}")

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def passed(self) -> bool:
        return not any(self.counts[outcome] for outcome in self.bad)

    def figures(self) -> dict[str, object]:
        return {
            "total": self.total,
            "counts": dict(self.counts),
            "slowest_seconds": round(self.slowest, 2),
            "examples": self.examples,
        }

"""What an edit has taken so far, and whether anybody still waits for it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from retouch.api.errors import Cancelled, RequestError

Item = TypeVar("Item")

POLL_SECONDS = 0.03  # seconds between looks at the deadline and the client


def nothing() -> None:
    pass


class RequestContext:
    """Milliseconds by stage, the deadline, and whether the client has left.

    To ask Triton for the client takes as long as a short stage: a thread of its own does (`mind`),
    and `check` costs nothing."""

    def __init__(self, deadline_ms: int, cancelled: Callable[[], bool]):
        self.begin = time.perf_counter()
        self.deadline_ms = deadline_ms
        self.milliseconds: dict[str, float] = {}
        self.ended = threading.Event()
        self.take_out: Callable[[], None] = (
            nothing  # stops the stage at work, where there is a way to
        )
        self._cancelled = cancelled
        self._left = False

    def elapsed(self) -> float:
        return (time.perf_counter() - self.begin) * 1000

    def left(self) -> int:
        """Milliseconds before the deadline, one at least; 0 without a deadline."""
        return max(1, int(self.deadline_ms - self.elapsed())) if self.deadline_ms else 0

    def check(self) -> None:
        """Raise when nobody waits any longer."""
        if self._left:
            raise Cancelled
        if 0 < self.deadline_ms < self.elapsed():
            raise RequestError(
                f"DEADLINE_MS {self.deadline_ms} has passed; allow more time or ask for fewer steps",
                "DEADLINE_EXCEEDED",
                field="DEADLINE_MS",
            )

    def ask(self) -> None:
        """Ask Triton for the client."""
        self._left = self._left or self._cancelled()

    def mind(self) -> None:
        """Until the edit has ended, take it out where it is when nobody waits any longer. That is
        repeated: it may be in a stage's queue still, where nobody knows it."""
        while not self.ended.wait(POLL_SECONDS):
            self.ask()
            try:
                self.check()
            except (Cancelled, RequestError):
                self.take_out()

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        begin = time.perf_counter()
        yield
        spent = (time.perf_counter() - begin) * 1000
        self.milliseconds[name] = round(self.milliseconds.get(name, 0.0) + spent, 2)

    def each(self, name: str, items: Iterator[Item]) -> Iterator[Item]:
        """The items, with only the waiting for them counted as the stage's time."""
        while True:
            with self.stage(name):
                item = next(items, None)
            if item is None:
                return
            yield item

"""The context of one edit: its timings, its deadline, and whether its client is still there."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from retouch.api.errors import Cancelled, RequestError
from retouch.util.request_log import REQUEST_ID, new_request_id

Item = TypeVar("Item")

POLL_SECONDS = 0.03


def do_nothing() -> None:
    pass


class RequestContext:
    """Milliseconds by stage, the deadline, the request's id (a new one where the client has sent
    none), and whether the client has left.

    Asking Triton for the client takes as long as a short stage. So `poll` does it in a thread of
    its own until `ended` is set, and `check` costs nothing. `cancel` stops the stage that runs, if
    it can be stopped."""

    def __init__(self, deadline_ms: int, is_disconnected: Callable[[], bool]):
        self.deadline_ms = deadline_ms
        self.request_id = REQUEST_ID.get() or new_request_id()
        self.milliseconds: dict[str, float] = {}
        self.ended = threading.Event()
        self.cancel: Callable[[], None] = do_nothing
        self._begin = time.perf_counter()
        self._ask_triton = is_disconnected
        self._is_disconnected = False

    def elapsed_ms(self) -> float:
        """Milliseconds since the edit began."""
        return (time.perf_counter() - self._begin) * 1000

    def remaining_ms(self) -> int:
        """Milliseconds until the deadline, at least 1; 0 without a deadline."""
        return max(1, int(self.deadline_ms - self.elapsed_ms())) if self.deadline_ms else 0

    def check(self) -> None:
        """Cancelled when the client has left, RequestError when the deadline has passed."""
        if self._is_disconnected:
            raise Cancelled
        if 0 < self.deadline_ms < self.elapsed_ms():
            raise RequestError(
                f"DEADLINE_MS {self.deadline_ms} has passed; "
                "allow more time or ask for fewer steps",
                "DEADLINE_EXCEEDED",
                field="DEADLINE_MS",
            )

    def poll_client(self) -> None:
        """Ask Triton once whether the client has left."""
        self._is_disconnected = self._is_disconnected or self._ask_triton()

    def poll(self) -> None:
        """Until the edit has ended: cancel the running stage when the client has left or the
        deadline has passed. The stage may not have begun yet, so that the cancel is repeated."""
        while not self.ended.wait(POLL_SECONDS):
            self.poll_client()
            try:
                self.check()
            except (Cancelled, RequestError):
                self.cancel()

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the body to the stage `name`."""
        begin = time.perf_counter()
        yield
        spent = (time.perf_counter() - begin) * 1000
        self.milliseconds[name] = round(self.milliseconds.get(name, 0.0) + spent, 2)

    def timed(self, name: str, items: Iterator[Item]) -> Iterator[Item]:
        """The items. Only the wait for them counts as time of the stage `name`."""
        while True:
            with self.stage(name):
                item = next(items, None)
            if item is None:
                return
            yield item

"""Admission: edits over capacity are rejected before their bodies are read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from retouch.api.errors import RequestError
from retouch_clients.openai_api.errors import overloaded

MOST_EDITS = 64  # concurrent requests; tritonserver accepts as many edits
MOST_FULL_SECONDS = 1.0  # for which a report that tritonserver is full is trusted


class Load:
    """The requests in flight, and the time until which tritonserver has reported to be full."""

    def __init__(self, most: int = MOST_EDITS):
        self._most = most
        self._running = 0
        self._full_until = 0.0

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Admit one request until the block ends; ApiError 429 over capacity."""
        seconds = self._full_until - time.monotonic()
        if self._running >= self._most:
            raise overloaded(f"Server at capacity: {self._running} requests are running")
        if seconds > 0 and self._running:
            raise overloaded("Server at capacity: tritonserver is full", seconds)
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    def note(self, failure: Exception) -> None:
        """Note an error of tritonserver: if it is full, other requests would fail too."""
        if (
            isinstance(failure, RequestError)
            and failure.code == "UNAVAILABLE"
            and failure.retry_after
        ):
            self._full_until = time.monotonic() + min(failure.retry_after, MOST_FULL_SECONDS)


class Memory:
    """Bytes of all request bodies in memory."""

    def __init__(self, most: int):
        self._most = most
        self._held = 0

    def take(self, count: int) -> None:
        """Reserve `count` bytes; ApiError 429 if they exceed the limit."""
        if self._held + count > self._most:
            raise overloaded("Server at capacity: too many request bodies are in memory")
        self._held += count

    def give(self, count: int) -> None:
        self._held -= count

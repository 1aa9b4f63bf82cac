"""How much is being done: edits beyond it are refused before their bodies are read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from retouch.api.errors import RequestError
from retouch_clients.openai_api.errors import overloaded

MOST_EDITS = 64  # requests in flight, as many edits as tritonserver takes on
LONGEST_BELIEF = 1.0  # seconds for which tritonserver's word that it is full is taken


class Load:
    """The requests in flight here, and until when tritonserver has said that it is full."""

    def __init__(self, most: int = MOST_EDITS):
        self._most = most
        self._running = 0
        self._full_until = 0.0

    @contextmanager
    def entered(self) -> Iterator[None]:
        """A place for one request until the block ends; ApiError 429."""
        left = self._full_until - time.monotonic()
        if self._running >= self._most:
            raise overloaded(f"{self._running} requests are being edited already")
        if left > 0 and self._running:
            raise overloaded("the editing server is full", left)
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    def note(self, failure: Exception) -> None:
        """What tritonserver has refused: others would be too."""
        if (
            isinstance(failure, RequestError)
            and failure.code == "UNAVAILABLE"
            and failure.retry_after
        ):
            self._full_until = time.monotonic() + min(failure.retry_after, LONGEST_BELIEF)


class Memory:
    """Bytes of bodies that lie in memory, of all requests together."""

    def __init__(self, most: int):
        self._most = most
        self._held = 0

    def take(self, count: int) -> None:
        """ApiError 429 when there is no room."""
        if self._held + count > self._most:
            raise overloaded("too many bodies are being read")
        self._held += count

    def give(self, count: int) -> None:
        self._held -= count

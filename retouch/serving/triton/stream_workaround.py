"""Workaround for tritonserver 2.51: keep finished BLS streams alive until the stub has released
them.

A stub releases a stream in a thread of its own, some time after its end, and has two bugs there
(`SendCleanupId` in the Python backend's pb_stub.cc; later releases have fixed both).

- It tells the server before it updates its own list. The server may give the next stream the same
  address, which the stub then removes: that stream waits for ever.
- If its thread is the last to hold the answers, it frees Python objects without the interpreter.

The question whether a client has left goes through the same thread, in order. Its answer means that
all streams that ended before the question are released. Only a positive answer comes from a cache
instead."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from retouch.api.errors import Cancelled


class FinishedStreams:
    """The streams of one process, which has one edit at a time."""

    def __init__(self) -> None:
        self._finished: list[Any] = []
        self._is_cancelled: Callable[[], bool] = lambda: False
        self._lock = threading.Lock()  # an answer must belong to its own question

    def asking(self, is_cancelled: Callable[[], bool]) -> Callable[[], bool]:
        """Begin an edit: the function to call in place of `is_cancelled`."""
        self._is_cancelled = is_cancelled
        return self.ask

    def ask(self) -> bool:
        """Whether the client has left."""
        with self._lock:
            before = len(self._finished)
            if self._is_cancelled():
                return True
            del self._finished[:before]
            return False

    def stream(self, begin: Callable[[], Iterator[Any]]) -> Iterator[Any]:
        """The answers of the stream that `begin` begins, after all earlier ones are released. A
        caller that closes the iterator waits for the end of the stream. Cancelled, without a call
        of `begin`, when the client has left."""
        if self._finished and self.ask():
            raise Cancelled
        answers = begin()
        try:
            yield from answers
        finally:
            for _ in answers:
                pass
            self._finished.append(answers)


STREAMS = FinishedStreams()  # of this process

"""Streams between models that are over, until their stub has forgotten them.

On tritonserver 2.51 a stub forgets a stream in a thread of its own, some time after its end, and
errs twice (`SendCleanupId` in the Python backend's pb_stub.cc; later releases have mended both).
The server is told before the stub's own list, so that it may give the next stream the same address,
which the stub then strikes off: that stream would wait for ever. And if the thread is the last to
hold the answers, it frees Python's objects without holding the interpreter.

Whether a client has left is asked through the same thread, and one thing after the other is done
there: with the answer, all streams that were over before the question are forgotten. Only the
answer that it has left comes from memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from retouch.api.errors import Cancelled


class FinishedStreams:
    """Of one process, which has one edit at a time."""

    def __init__(self) -> None:
        self._over: list[Any] = []
        self._is_cancelled: Callable[[], bool] = lambda: False
        self._lock = (
            threading.Lock()
        )  # a question must not be answered by one that was put before it

    def asking(self, is_cancelled: Callable[[], bool]) -> Callable[[], bool]:
        """The question of the edit at hand, to be put in place of its own."""
        self._is_cancelled = is_cancelled
        return self.ask

    def ask(self) -> bool:
        """Whether the client has left."""
        with self._lock:
            before = len(self._over)
            if self._is_cancelled():
                return True
            del self._over[:before]
            return False

    def stream(self, begin: Callable[[], Iterator[Any]]) -> Iterator[Any]:
        """The answers of the stream that `begin` begins, when all before it are forgotten. Whoever
        leaves early waits for its end; Cancelled instead of a beginning when the client has
        left."""
        if self._over and self.ask():
            raise Cancelled
        answers = begin()
        try:
            yield from answers
        finally:
            for _ in answers:
                pass
            self._over.append(answers)


STREAMS = FinishedStreams()  # of this process

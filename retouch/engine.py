"""The denoiser's loop: running edits take one step each in turn, so a newcomer starts at once.

An edit is an iterator of progress (see `retouch.denoiser`); the engine knows nothing else of it but how many steps
it takes. A finished, failed or cancelled edit leaves at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass
class Running:
    """One admitted edit: its progress, where answers go, how it ends, and whether its client has left.

    `progress` yields once a step: an answer, or None where there is nothing to say. `steps` are those it has still to
    take; what is no edit has none.
    """

    ticket: str
    progress: Iterator[Any]
    emit: Callable[[Any], None]
    end: Callable[[Exception | None], None]
    left: Callable[[], bool]
    steps: int = 0
    cancelled: bool = False


class Engine:
    """A thread of its own that steps the running edits until `stop`."""

    def __init__(self, post: Callable[[int, int, float], None] = lambda edits, steps, seconds: None):
        """`post` is told of every change: how many edits run, the steps they have still to take, and the seconds of
        the step just taken, 0.0 if it was none."""
        self._post = post
        self._running: list[Running] = []
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name="engine", daemon=True)
        self._thread.start()

    def admit(self, edit: Running) -> None:
        with self._changed:
            self._running.append(edit)
            self._tell()
            self._changed.notify()

    def cancel(self, ticket: str) -> None:
        """Take the edit with this ticket out before its next step; an unknown ticket is no error."""
        with self._changed:
            for edit in self._running:
                edit.cancelled |= edit.ticket == ticket

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def _loop(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._running or self._stopping)
                if self._stopping:
                    return
                turn = list(self._running)
            for edit in turn:
                if not self._step(edit):
                    self._evict(edit)

    def _step(self, edit: Running) -> bool:
        """One step of one edit; False when it is over, however it ended."""
        error = None
        try:
            if not edit.cancelled and not edit.left():
                begin = time.perf_counter()
                answer = next(edit.progress)
                self._count(edit, time.perf_counter() - begin)
                if answer is not None:
                    edit.emit(answer)
                return True
        except StopIteration:
            pass
        except Exception as failure:  # one edit's failure must not end the others
            error = failure
        edit.end(error)
        return False

    def _count(self, edit: Running, seconds: float) -> None:
        with self._changed:
            if edit.steps:
                edit.steps -= 1
                self._tell(seconds)

    def _evict(self, edit: Running) -> None:
        with self._changed:
            self._running.remove(edit)
            self._tell()

    def _tell(self, seconds: float = 0.0) -> None:
        steps = [edit.steps for edit in self._running if edit.steps]
        self._post(len(steps), sum(steps), seconds)

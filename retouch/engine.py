"""The denoiser's loop: running edits take one step each in turn, so a newcomer starts at once.

An edit is an iterator of progress (see `retouch.denoiser`); the engine knows nothing else of it. A finished,
failed or cancelled edit leaves at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass
class Running:
    """One admitted edit: its progress, where answers go, how it ends, and whether its client has left.

    `progress` yields once a step: an answer, or None where there is nothing to say.
    """

    ticket: str
    progress: Iterator[Any]
    emit: Callable[[Any], None]
    end: Callable[[Exception | None], None]
    left: Callable[[], bool]
    cancelled: bool = False


class Engine:
    """A thread of its own that steps the running edits until `stop`."""

    def __init__(self) -> None:
        self._running: list[Running] = []
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name="engine", daemon=True)
        self._thread.start()

    def admit(self, edit: Running) -> None:
        with self._changed:
            self._running.append(edit)
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
                answer = next(edit.progress)
                if answer is not None:
                    edit.emit(answer)
                return True
        except StopIteration:
            pass
        except Exception as failure:  # one edit's failure must not end the others
            error = failure
        edit.end(error)
        return False

    def _evict(self, edit: Running) -> None:
        with self._changed:
            self._running.remove(edit)

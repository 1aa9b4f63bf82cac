"""The denoiser's loop. At every boundary between steps: admit who has come, step whom the scheduler picks, emit what is
due, evict who is done.

It runs without Triton: answers leave by functions that each edit brings.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from retouch.cost import Cost
from retouch.denoiser import Denoiser
from retouch.denoising import Denoising, Progress, Wanted
from retouch.recent import Recent
from retouch.scheduler import Size, pick, work
from retouch.tally import Tally
from retouch.types import RequestError

MOST_EDITS = 64  # at once; who comes later is told when to come again


@dataclass(eq=False)  # an edit equals itself alone
class Edit:
    """One admitted edit: where its progress goes, how it ends, and whether its client has left.

    Times are seconds of `time.monotonic`. `emit` gets every step's progress and `end` the failure, if it was one; both
    are called by the loop's thread.
    """

    ticket: str
    wanted: Wanted
    emit: Callable[[Progress], None]
    end: Callable[[Exception | None], None]
    left: Callable[[], bool] = lambda: False
    deadline: float = math.inf
    priority: int = 0
    admitted: float = field(default_factory=time.monotonic)
    cancelled: bool = False
    previewed: bool = False
    state: Denoising | None = None

    @property
    def steps(self) -> int:
        return self.state.steps

    @property
    def size(self) -> Size:
        return self.state.size


class Engine:
    """A thread of its own that steps the running edits until `stop`."""

    def __init__(self, denoiser: Denoiser, cost: Cost = Cost(),
                 post: Callable[[int, int, float], None] = lambda edits, steps, seconds: None):
        """`post` is told of every change: how many edits run, the steps they have still to take, and the seconds of
        an edit's step just taken, 0.0 if it was none."""
        self._denoiser, self._cost, self._post = denoiser, cost, post
        self._coming: list[Edit] = []
        self._sources: list[tuple[Any, Callable[[Exception | None], None]]] = []
        self._running: list[Edit] = []
        self.tally = Tally()
        self._pace = Recent()  # of the seconds that steps take to those that the cost says
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._loop, name="engine", daemon=True)
        self._thread.start()

    # -- from other threads ----------------------------------------------------------------------------------------------

    def admit(self, edit: Edit) -> None:
        """It starts at the next boundary. RequestError when there are too many, or its deadline cannot be met."""
        edit.state = self._denoiser.begin(edit.wanted)
        with self._changed:
            try:
                self._refuse(edit)
            except RequestError:
                self.tally.refused += 1
                raise
            self._coming.append(edit)
            self._tell()
            self._changed.notify()

    def look(self, latents: Any, end: Callable[[Exception | None], None]) -> None:
        """Remember a source at the next boundary, ahead of its edit."""
        with self._changed:
            self._sources.append((latents, end))
            self._changed.notify()

    def cancel(self, ticket: str) -> None:
        """Take the edit with this ticket out before its next step; an unknown ticket is no error."""
        with self._changed:
            for edit in (*self._coming, *self._running):
                edit.cancelled |= edit.ticket == ticket

    def stop(self) -> None:
        """Edits that run are not ended."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    # -- the loop --------------------------------------------------------------------------------------------------------

    def _loop(self) -> None:
        while self._wait():
            self._admit()
            self._evict_those_that_left()
            if self._running:
                self._step(pick(self._running, self._cost, time.monotonic(), self.pace))

    def _wait(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._coming or self._sources or self._running or self._stopping)
            return not self._stopping

    def _admit(self) -> None:
        """Who has come; a source is short work, and somebody's edit waits for it."""
        with self._changed:
            if self._coming:
                self._running += self._coming
                self._coming = []
                self._tell()
            sources, self._sources = self._sources, []
        for latents, end in sources:
            end(_failure(lambda: self._denoiser.look(latents)))

    def _step(self, edits: list[Edit]) -> None:
        """One step of edits that share it; when that fails, each alone, so that what is broken ends no other."""
        begin, size = time.perf_counter(), edits[0].size
        try:
            done = self._denoiser.step([edit.state for edit in edits])
        except Exception as failure:
            if len(edits) == 1:
                self._evict(edits[0], failure)
            else:
                for edit in edits:
                    self._step([edit])
            return
        self._count(len(edits), size, time.perf_counter() - begin)
        self._emit(edits, done)

    def _count(self, edits: int, size: Size, seconds: float) -> None:
        if size.tokens:
            self._pace.add(seconds / self._cost.seconds(edits, size.tokens, size.reference))
        tally = self.tally
        tally.steps += 1
        tally.stepped_edits += edits
        tally.stepped_tokens += edits * size.tokens
        tally.step_seconds += seconds
        tally.tokens_kept += edits * (size.reference - size.tokens)
        with self._changed:
            self._tell(seconds / edits)

    def _emit(self, edits: list[Edit], done: list[Progress]) -> None:
        for edit, progress in zip(edits, done):
            failure = _failure(lambda: edit.emit(progress))
            if progress.preview is not None and not edit.previewed:
                edit.previewed = True
                self.tally.first_previews += 1
                self.tally.first_preview_seconds += time.monotonic() - edit.admitted
            if failure or not edit.steps:
                self._evict(edit, failure)

    def _evict_those_that_left(self) -> None:
        now = time.monotonic()
        for edit in list(self._running):
            if edit.cancelled or edit.left():
                self._evict(edit)
            elif now > edit.deadline:
                self._evict(edit, RequestError("DEADLINE_MS has passed; allow more time or ask for fewer steps",
                                               "DEADLINE_EXCEEDED"))

    def _evict(self, edit: Edit, failure: Exception | None = None) -> None:
        tally = self.tally
        if failure is not None:
            tally.failed += 1
        elif edit.steps:
            tally.cancelled += 1
            tally.steps_cancelled += edit.steps
        else:
            tally.answered += 1
        with self._changed:
            self._running.remove(edit)
            self._tell()
        self._denoiser.end(edit.state)
        edit.end(failure)

    # -- what there is to do --------------------------------------------------------------------------------------------

    @property
    def pace(self) -> float:
        """How many times longer steps take than the cost says."""
        return self._pace.median() or 1.0

    def _refuse(self, edit: Edit) -> None:
        edits = [*self._coming, *self._running]
        backlog = sum(work(each, self._cost, self.pace) for each in edits)
        if len(edits) >= MOST_EDITS:
            raise RequestError(f"{len(edits)} edits are running already; try again in {backlog:.1f} s", "UNAVAILABLE")
        own = work(edit, self._cost, self.pace)
        if self._pace.median() and time.monotonic() + own > edit.deadline:
            raise RequestError(f"DEADLINE_MS leaves too little: denoising alone takes about {own * 1000:.0f} ms; allow more "
                               "time or ask for fewer steps", "DEADLINE_EXCEEDED")

    def _tell(self, seconds: float = 0.0) -> None:
        edits = [*self._coming, *self._running]
        self.tally.waiting, self.tally.running = len(self._coming), len(self._running)
        self._post(len(edits), sum(edit.steps for edit in edits), seconds)


def _failure(function: Callable[[], None]) -> Exception | None:
    """What `function` raised."""
    try:
        function()
    except Exception as failure:
        return failure
    return None

"""The denoiser's loop. At every boundary between steps: admit who has come, step whom the scheduler
picks, emit what is due, evict who is done.

It runs without Triton: answers leave by functions that each edit brings. Several workers take turns
at it, where the machine gains from steps side by side; an edit is in the hands of one at a time.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from retouch.api.errors import RequestError
from retouch.engine.admission import Limits, refuse
from retouch.engine.cost_model import Cost
from retouch.engine.denoiser import Denoiser
from retouch.engine.edit_state import EditState, Progress
from retouch.engine.metrics import EngineMetrics
from retouch.engine.scheduler import BatchKey, pick
from retouch.families.denoise_request import DenoiseRequest
from retouch.util.request_log import request_id
from retouch.util.running_median import RunningMedian

log = logging.getLogger(__name__)

LATE = "DEADLINE_MS has passed; allow more time or ask for fewer steps"

Job = Callable[[], None]


@dataclass(eq=False)  # an edit equals itself alone
class Edit:
    """One admitted edit: where its progress goes, how it ends, and whether its client has left.

    Times are seconds of `time.monotonic`. `emit` gets every step's progress and `end` the failure,
    if it was one; both are called by the worker that has the edit. What they raise ends this edit
    alone."""

    ticket: str
    wanted: DenoiseRequest
    emit: Callable[[Progress], None]
    end: Callable[[Exception | None], None]
    left: Callable[[], bool] = lambda: False
    deadline: float = math.inf
    priority: int = 0
    admitted: float = field(default_factory=time.monotonic)
    cancelled: bool = False
    stepping: bool = False
    previewed: bool = False
    state: EditState | None = None

    @property
    def steps(self) -> int:
        return self.state.steps

    @property
    def size(self) -> BatchKey:
        return self.state.size


class Engine:
    """`workers` threads that step the running edits until `stop`."""

    def __init__(
        self,
        denoiser: Denoiser,
        cost: Cost = Cost(),
        workers: int = 1,
        limits: Limits = Limits(),
        post: Callable[[int, int, float], None] = lambda edits, steps, seconds: None,
    ):
        """`post` is told of every change: how many edits run, the steps they have still to take,
        and the seconds in which the workers take an edit's step, 0.0 if the graph did not just
        run."""
        self._denoiser = denoiser
        self._cost = cost
        self._limits = limits
        self._post = post
        self._coming: list[Edit] = []
        self._sources: list[tuple[Any, Callable[[Exception | None], None]]] = []
        self._running: list[Edit] = []
        self.tally = EngineMetrics()
        self._pace = RunningMedian()  # of the seconds that steps take to those that the cost says
        self._changed = (
            threading.Condition()
        )  # its lock is held for whatever is shared, and never while a step runs
        self._busy = 0
        self._stopping = False
        self._workers = [
            threading.Thread(target=self._work, name=f"engine {i}", daemon=True)
            for i in range(workers)
        ]
        for worker in self._workers:
            worker.start()

    # -- from other threads ------------------------------------------------------------------------

    def admit(self, edit: Edit) -> None:
        """It starts at the next boundary. RequestError when there is too much to do, or its
        deadline cannot be met."""
        edit.state = self._denoiser.begin(edit.wanted)
        with self._changed:
            try:
                refuse(
                    edit,
                    [*self._coming, *self._running],
                    self._limits,
                    self._cost,
                    self._pace.median(),
                    len(self._workers),
                )
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
        """Take the edit with this ticket out before its next step; an unknown ticket is no
        error."""
        with self._changed:
            for edit in (*self._coming, *self._running):
                edit.cancelled |= edit.ticket == ticket

    def stop(self) -> None:
        """Edits that run are not ended."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        for worker in self._workers:
            worker.join()

    # -- the loop ----------------------------------------------------------------------------------

    def _work(self) -> None:
        while job := self._next():
            _told(job)
            with self._changed:
                self._busy -= 1

    def _next(self) -> Job | None:
        """What a worker does at this boundary; None when it is to stop."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._stopping or self._sources or self._coming or self._idle()
            )
            if self._stopping:
                return None
            self._busy += 1
            job = self._job()
            if self._sources or self._idle():
                self._changed.notify()  # there is more than this worker takes
            return job

    def _job(self) -> Job:
        """A source is short work, and somebody's edit waits for it; then who waits for nothing;
        then a step."""
        if self._sources:
            latents, end = self._sources.pop(0)
            return lambda: end(_failure(self._denoiser.look, latents))
        if self._coming:
            self._running += self._coming
            self._coming = []
            self._tell()
        now = time.monotonic()
        if gone := [edit for edit in self._idle() if edit.cancelled or now > edit.deadline]:
            edits = self._taken(gone)
            return lambda: [
                self._evict(
                    edit,
                    None
                    if edit.cancelled
                    else RequestError(LATE, "DEADLINE_EXCEEDED", field="DEADLINE_MS"),
                )
                for edit in edits
            ]
        free = len(self._workers) - self._busy + 1
        edits = self._taken(pick(self._idle(), self._cost, now, self.pace, free))
        return lambda: self._step_those_that_stay(edits)

    def _idle(self) -> list[Edit]:
        return [edit for edit in self._running if not edit.stepping]

    def _taken(self, edits: list[Edit]) -> list[Edit]:
        for edit in edits:
            edit.stepping = True
        return edits

    def _step_those_that_stay(self, edits: list[Edit]) -> None:
        gone = [edit for edit in edits if _left(edit)]
        for edit in gone:
            self._evict(edit)
        if stay := [edit for edit in edits if edit not in gone]:
            self._step(stay)

    def _step(self, edits: list[Edit]) -> None:
        """One step of edits that share it; when that fails, each alone, so that what is broken ends
        no other."""
        begin = time.perf_counter()
        try:
            done = self._denoiser.step([edit.state for edit in edits])
        except Exception as failure:
            if len(edits) == 1:
                self._evict(edits[0], failure)
            else:
                for edit in edits:
                    self._step([edit])
            return
        self._count(edits, done, time.perf_counter() - begin)
        for edit, progress in zip(edits, done):
            self._emit(edit, progress)

    def _emit(self, edit: Edit, progress: Progress) -> None:
        failure = _failure(edit.emit, progress)
        with self._changed:
            if progress.preview is not None and not edit.previewed:
                edit.previewed = True
                self.tally.first_previews += 1
                seconds = time.monotonic() - edit.admitted
                self.tally.first_preview_seconds += seconds
                self.tally.preview_latency_seconds.append(seconds)
            is_over = failure is not None or not edit.steps
            edit.stepping = is_over  # if not, another worker may take it from here on
        if is_over:
            self._evict(edit, failure)

    def _evict(self, edit: Edit, failure: Exception | None = None) -> None:
        """An edit that this worker has taken."""
        with self._changed:
            self.tally.ended(edit.steps, failure)
            if failure is None and not edit.steps:
                self.tally.edit_latency_seconds.append(time.monotonic() - edit.admitted)
            self._running.remove(edit)
            self._tell()
        self._denoiser.end(edit.state)
        with request_id(edit.ticket):
            _told(edit.end, failure)

    # -- what is known of it -----------------------------------------------------------------------

    @property
    def pace(self) -> float:
        """How many times longer steps take than the cost says."""
        return self._pace.median() or 1.0

    def _count(self, edits: list[Edit], done: list[Progress], seconds: float) -> None:
        """A step's `seconds`; who took it from its own memory was not in the run."""
        size = edits[0].size
        ran = sum(not progress.reused for progress in done)
        with self._changed:
            if size.tokens and ran:
                self._pace.add(seconds / self._cost.seconds(ran, size.tokens, size.reference))
            self.tally.stepped(ran, len(done) - ran, size, edits[0].state.spared, seconds)
            self._tell(seconds / len(edits) / self._busy if size.tokens and ran else 0.0)

    def _tell(self, seconds: float = 0.0) -> None:
        edits = [*self._coming, *self._running]
        self.tally.waiting = len(self._coming)
        self.tally.running = len(self._running)
        self._post(len(edits), sum(edit.steps for edit in edits), seconds)


def _failure(function: Callable[..., Any], *arguments: Any) -> Exception | None:
    """What `function` raised."""
    try:
        function(*arguments)
    except Exception as failure:
        return failure
    return None


def _told(function: Callable[..., Any], *arguments: Any) -> None:
    """Call it; what it raises nobody waits for, so it goes to the log, and the worker lives on."""
    if failure := _failure(function, *arguments):
        log.error("a worker of the engine goes on after a failure", exc_info=failure)


def _left(edit: Edit) -> bool:
    """Also when that cannot be found out any more."""
    try:
        return edit.left()
    except Exception:
        with request_id(edit.ticket):
            log.exception("it cannot be seen whether the client has left")
        return True

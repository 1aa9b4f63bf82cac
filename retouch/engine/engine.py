"""The engine of a lane: continuous batching over the steps of its running edits.

At every boundary between steps it admits waiting edits, evicts ended ones, steps those that the
scheduler chooses and hands out their progress. It does not know Triton: an edit brings callbacks.
Several workers run the loop where steps side by side gain; one worker at a time holds an edit."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from retouch.api.adapters import Adapters
from retouch.api.errors import RequestError
from retouch.engine.admission import Limits, check_admission
from retouch.engine.cost_model import Cost
from retouch.engine.denoiser import Denoiser
from retouch.engine.edit import Edit, OnEnd, Prefill
from retouch.engine.edit_state import Progress
from retouch.engine.metrics import EngineMetrics
from retouch.engine.scheduler import BatchKey, schedule
from retouch.util.request_log import request_id
from retouch.util.running_median import RunningMedian

log = logging.getLogger(__name__)

DEADLINE_PASSED = "DEADLINE_MS has passed; allow more time or ask for fewer steps"

Job = Callable[[], None]


class Engine:
    """`workers` threads that step the running edits until `stop`."""

    def __init__(
        self,
        denoiser: Denoiser,
        cost: Cost = Cost(),
        workers: int = 1,
        limits: Limits = Limits(),
        publish: Callable[[int, int, float], None] = lambda edits, steps, seconds: None,
    ):
        """`publish` is called after every change. It gets the number of admitted edits, the steps
        that they have left, and the seconds that the workers need for one edit's step. The seconds
        are 0.0 when the step graph did not just run."""
        self._denoiser = denoiser
        self._cost = cost
        self._limits = limits
        self._publish = publish
        self.metrics = EngineMetrics()
        self._waiting: list[Edit] = []
        self._running: list[Edit] = []
        self._prefills: list[Prefill] = []
        self._slowdown = RunningMedian()  # of measured step times over those of the cost model
        self._condition = threading.Condition()  # guards all shared state, never held in a step
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
        """Start an edit at the next boundary. RequestError when the engine is full or the deadline
        cannot be met."""
        edit.state = self._denoiser.begin(edit.request)
        with self._condition:
            try:
                check_admission(
                    edit,
                    self._admitted(),
                    self._limits,
                    self._cost,
                    self._slowdown.median(),
                    len(self._workers),
                )
            except RequestError:
                self.metrics.refused += 1
                self._denoiser.end(edit.state)
                raise
            self._waiting.append(edit)
            self._publish_load()
            self._condition.notify()

    def prefill(self, latents: np.ndarray, on_end: OnEnd, adapters: Adapters = ()) -> None:
        """Cache the keys and values of a source image at the next boundary, ahead of its edit."""
        with self._condition:
            self._prefills.append(Prefill(latents, on_end, adapters))
            self._condition.notify()

    def cancel(self, request_id: str) -> None:
        """Evict an edit before its next step. An unknown `request_id` is no error."""
        with self._condition:
            for edit in self._admitted():
                edit.cancelled |= edit.request_id == request_id

    def stop(self) -> None:
        """Stop the workers. Running edits are not ended."""
        with self._condition:
            self._stopping = True
            self._condition.notify_all()
        for worker in self._workers:
            worker.join()

    # -- the loop ----------------------------------------------------------------------------------

    def _work(self) -> None:
        while job := self._next_job():
            _run_logged(job)
            with self._condition:
                self._busy -= 1

    def _next_job(self) -> Job | None:
        """The work of this boundary; None when the engine stops."""
        with self._condition:
            self._condition.wait_for(
                lambda: self._stopping or self._prefills or self._waiting or self._idle()
            )
            if self._stopping:
                return None
            self._busy += 1
            job = self._choose_job()
            if self._prefills or self._idle():
                self._condition.notify()  # there is work for another worker
            return job

    def _choose_job(self) -> Job:
        """First a prefill, which is short and an edit waits for it; then evictions; then a step."""
        if self._prefills:
            prefill = self._prefills.pop(0)
            return lambda: prefill.on_end(
                _failure(self._denoiser.prefill, prefill.latents, prefill.adapters)
            )
        self._start_waiting()
        now = time.monotonic()
        if over := [edit for edit in self._idle() if edit.cancelled or now > edit.deadline]:
            claimed = self._claim(over)
            return lambda: self._evict_all(claimed)
        idle_workers = len(self._workers) - self._busy + 1
        chosen = schedule(self._idle(), self._cost, now, self.slowdown, idle_workers)
        batch = self._claim(chosen)
        return lambda: self._step_connected(batch)

    def _start_waiting(self) -> None:
        if self._waiting:
            self._running += self._waiting
            self._waiting = []
            self._publish_load()

    def _admitted(self) -> list[Edit]:
        return [*self._waiting, *self._running]

    def _idle(self) -> list[Edit]:
        """Running edits that no worker holds."""
        return [edit for edit in self._running if not edit.stepping]

    def _claim(self, edits: list[Edit]) -> list[Edit]:
        for edit in edits:
            edit.stepping = True
        return edits

    def _step_connected(self, edits: list[Edit]) -> None:
        """Step the edits whose clients are still there, and evict the others."""
        connected = []
        for edit in edits:
            if _is_disconnected(edit):
                self._evict(edit)
            else:
                connected.append(edit)
        if connected:
            self._step(connected)

    def _step(self, edits: list[Edit]) -> None:
        """One shared step. After a failure every edit steps alone, so that only the broken one
        fails."""
        key = edits[0].batch_key  # of this step: the next one's may be narrower
        begin = time.perf_counter()
        try:
            progress = self._denoiser.step([edit.state for edit in edits])
        except Exception as failure:
            if len(edits) == 1:
                self._evict(edits[0], failure)
            else:
                for edit in edits:
                    self._step([edit])
            return
        self._record_step(edits, key, progress, time.perf_counter() - begin)
        for edit, edit_progress in zip(edits, progress):
            self._hand_out(edit, edit_progress)

    def _hand_out(self, edit: Edit, progress: Progress) -> None:
        """Call the edit's `on_progress`, then release or evict the edit."""
        failure = _failure(edit.on_progress, progress)
        with self._condition:
            if progress.preview is not None and not edit.previewed:
                edit.previewed = True
                self.metrics.record_preview(time.monotonic() - edit.admitted)
            is_over = failure is not None or not edit.steps
            edit.stepping = is_over  # if not, another worker may take it from here on
        if is_over:
            self._evict(edit, failure)

    def _evict_all(self, edits: list[Edit]) -> None:
        """Evict cancelled edits, and those whose deadline has passed."""
        for edit in edits:
            late = RequestError(DEADLINE_PASSED, "DEADLINE_EXCEEDED", field="DEADLINE_MS")
            self._evict(edit, None if edit.cancelled else late)

    def _evict(self, edit: Edit, failure: Exception | None = None) -> None:
        """End an edit that this worker holds."""
        with self._condition:
            self.metrics.record_end(edit.steps, failure, time.monotonic() - edit.admitted)
            self._running.remove(edit)
            self._publish_load()
        self._denoiser.end(edit.state)
        with request_id(edit.request_id):
            _run_logged(edit.on_end, failure)

    # -- load and timings --------------------------------------------------------------------------

    @property
    def slowdown(self) -> float:
        """The ratio of measured step times to those of the cost model; 1.0 before the first."""
        return self._slowdown.median() or 1.0

    def _record_step(
        self,
        edits: list[Edit],
        key: BatchKey,
        progress: list[Progress],
        seconds: float,
    ) -> None:
        """Record a step's `seconds`. Edits that reused their velocity were not in the run. The cost
        model knows steps of whole edits alone."""
        ran = sum(not edit_progress.reused for edit_progress in progress)
        reused = len(progress) - ran
        is_whole = not progress[0].on_region
        did_run = bool(key.target_tokens and ran)
        with self._condition:
            if did_run and is_whole:
                expected = self._cost.seconds(ran, key.target_tokens, key.reference_tokens)
                self._slowdown.add(seconds / expected)
            self.metrics.record_step(ran, reused, key, edits[0].state.skipped_tokens, seconds)
            self._publish_load(seconds / len(edits) / self._busy if did_run else 0.0)

    def _publish_load(self, seconds: float = 0.0) -> None:
        edits = self._admitted()
        self.metrics.waiting = len(self._waiting)
        self.metrics.running = len(self._running)
        self._publish(len(edits), sum(edit.steps for edit in edits), seconds)


def _failure(function: Callable[..., Any], *arguments: Any) -> Exception | None:
    """Call `function`; the exception that it raised, if any."""
    try:
        function(*arguments)
    except Exception as failure:
        return failure
    return None


def _run_logged(function: Callable[..., Any], *arguments: Any) -> None:
    """Call `function` and log what it raises: nothing waits for it, and the worker goes on."""
    if failure := _failure(function, *arguments):
        log.error("a worker of the engine goes on after a failure", exc_info=failure)


def _is_disconnected(edit: Edit) -> bool:
    """Whether the edit's client has left. A check that fails counts as disconnected."""
    try:
        return edit.is_disconnected()
    except Exception:
        with request_id(edit.request_id):
            log.exception("it cannot be seen whether the client has left")
        return True

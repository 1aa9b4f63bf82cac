"""Feedback as a server offers it: answers are recorded beside it, feedback is stored before it is
acknowledged."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from prometheus_client import CollectorRegistry
from sqlalchemy.engine import URL

from retouch.launcher.server import RUNTIME
from retouch_clients.feedback.database import Database, url_of
from retouch_clients.feedback.errors import FeedbackError, StoreUnavailable, UnknownAnswer
from retouch_clients.feedback.finished_edit import FinishedEdit
from retouch_clients.feedback.metrics import FeedbackMetrics
from retouch_clients.feedback.recorder import Recorder
from retouch_clients.feedback.records import Feedback, Receipt
from retouch_clients.feedback.settings import Settings
from retouch_clients.feedback.spool import Spool
from retouch_clients.feedback.store import Store

WAIT_SECONDS = 3.0  # for an answer that is being recorded
THREADS = 2  # of their own: edits use the event loop's
MOST_WAITING = 64  # feedbacks at once

Result = TypeVar("Result")


class FeedbackService:
    """Answers and feedback of one server. `url_of` says what is wrong with a store's address."""

    def __init__(self, settings: Settings, metrics: FeedbackMetrics | None = None):
        url = url_of(settings.store)
        self._metrics = metrics or FeedbackMetrics(CollectorRegistry())
        self._store = Store(Database(url))
        self._recorder = Recorder(
            self._store, Spool(spool_path(url)), self._metrics, settings.image_hours * 3600
        )
        self._threads = ThreadPoolExecutor(THREADS, "feedback")
        self._waiting = 0

    def record(self, edit: FinishedEdit) -> None:
        """Note an answer. Returns at once, and never fails."""
        self._recorder.record(edit)

    async def give(self, feedback: Feedback) -> Receipt:
        """Store feedback; it is on disk when this returns. FeedbackError."""
        try:
            receipt = await self._in_thread(lambda: self._give(feedback))
        except FeedbackError as failure:
            outcome = "unavailable" if isinstance(failure, StoreUnavailable) else "rejected"
            self._metrics.feedback.labels(outcome).inc()
            raise
        self._metrics.feedback.labels("repeated" if receipt.repeated else "stored").inc()
        return receipt

    def close(self) -> None:
        """Record what waits and disconnect."""
        self._threads.shutdown()
        self._recorder.close()
        self._store.close()

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        if self._waiting >= MOST_WAITING:
            raise StoreUnavailable("the store of feedback is busy")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1

    def _give(self, feedback: Feedback) -> Receipt:
        """Feedback may come before its answer is recorded."""
        try:
            return self._store.give(feedback)
        except UnknownAnswer:
            if not self._recorder.wait_for(feedback.request_id, WAIT_SECONDS):
                raise StoreUnavailable("the answer is not recorded yet") from None
            return self._store.give(feedback)


def spool_path(url: URL) -> Path:
    """The file of answers that wait: beside a SQLite file, else in the runtime folder."""
    if url.drivername == "sqlite":
        return Path(f"{url.database}.spool")
    name = url.render_as_string(hide_password=True)
    return RUNTIME / f"feedback-{hashlib.sha256(name.encode()).hexdigest()[:12]}.spool"

"""Records answers in a thread of its own, so that no edit waits for the store."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Sequence

from retouch_clients.feedback.database import ROW_FAULTS
from retouch_clients.feedback.errors import StoreUnavailable
from retouch_clients.feedback.finished_edit import FinishedEdit
from retouch_clients.feedback.metrics import FeedbackMetrics
from retouch_clients.feedback.records import Recorded
from retouch_clients.feedback.spool import Spool, SpoolFull
from retouch_clients.feedback.store import Store

MOST_EDITS = 1024  # that wait in memory
MOST_BYTES = 256 << 20  # of their images
BATCH = 64  # edits of one transaction
PAUSE = 1.0  # seconds between two tries of a store that fails
EXPIRY_SECONDS = 60.0  # between two searches for images whose time is over
END_SECONDS = 10.0  # that `close` waits

log = logging.getLogger(__name__)


class Recorder:
    """A bounded queue and the thread that empties it into the store, or into the spool."""

    def __init__(
        self,
        store: Store,
        spool: Spool,
        metrics: FeedbackMetrics,
        keep_seconds: float = 0.0,
        most_edits: int = MOST_EDITS,
        most_bytes: int = MOST_BYTES,
    ):
        """`keep_seconds`: how long the images of an answer are kept; 0 keeps none."""
        self._store = store
        self._spool = spool
        self._metrics = metrics
        self._keep_seconds = keep_seconds
        self._most_edits = most_edits
        self._most_bytes = most_bytes
        self._changed = threading.Condition()  # guards the next five
        self._queue: deque[FinishedEdit] = deque()
        self._bytes = 0
        self._pending: Counter[str] = Counter()  # answers in memory by request id
        self._spooled: set[str] = set()  # request ids of answers in the spool
        self._is_closing = False
        self._is_up = False
        self._retry_at = 0.0
        self._expire_at = 0.0
        self._adopt_spool()
        self._thread = threading.Thread(target=self._run, name="feedback", daemon=True)
        self._thread.start()

    def record(self, edit: FinishedEdit) -> None:
        """Queue an answer. Returns at once; a full queue drops the answer and counts it."""
        with self._changed:
            is_full = len(self._queue) >= self._most_edits
            if self._is_closing or is_full or self._bytes + edit.size > self._most_bytes:
                self._metrics.dropped.inc()
                return
            self._queue.append(edit)
            self._bytes += edit.size
            self._pending[edit.request_id] += 1
            self._metrics.waiting.set(len(self._queue))
            self._changed.notify_all()

    def wait_for(self, request_id: str, seconds: float) -> bool:
        """Whether no answer of this request waits for the store, after at most `seconds`."""

        def is_settled() -> bool:
            return not self._pending[request_id] and request_id not in self._spooled

        with self._changed:
            return self._changed.wait_for(is_settled, seconds)

    def close(self) -> None:
        """Record what waits, into the spool if the store fails, and end the thread."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join(END_SECONDS)

    def _run(self) -> None:
        while True:
            batch = self._next_batch()
            try:
                self._step(batch)
            except Exception:
                log.exception("answers were not recorded")
                self._metrics.dropped.inc(len(batch))
            self._settle(batch)
            if self._is_closing and not batch:
                return

    def _next_batch(self) -> list[FinishedEdit]:
        """The oldest edits; none after a pause without one."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._is_closing, PAUSE)
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            self._bytes -= sum(edit.size for edit in batch)
            self._metrics.waiting.set(len(self._queue))
        return batch

    def _step(self, batch: Sequence[FinishedEdit]) -> None:
        """Store a batch, and what the spool holds; or put the batch into the spool."""
        recorded = [edit.recorded(self._keep_seconds) for edit in batch]
        if time.monotonic() < self._retry_at:
            return self._put_aside(recorded)
        try:
            if not self._is_up:
                self._store.prepare()
            self._drain_spool()
            self._add(recorded)
            self._expire()
        except StoreUnavailable as failure:
            self._note_store(False, str(failure))
            self._retry_at = time.monotonic() + PAUSE
            self._put_aside(recorded)
        else:
            self._note_store(True)

    def _add(self, recorded: Sequence[Recorded]) -> None:
        """Store answers. One that the database does not take is dropped alone."""
        for begin in range(0, len(recorded), BATCH):
            batch = recorded[begin : begin + BATCH]
            try:
                self._store.add(batch)
                count = len(batch)
            except ROW_FAULTS:
                count = sum(self._add_one(entry) for entry in batch)
            self._metrics.recorded.inc(count)

    def _add_one(self, entry: Recorded) -> bool:
        try:
            self._store.add([entry])
        except ROW_FAULTS:
            log.exception("the store does not take the answer %s", entry.answer.request_id)
            self._metrics.dropped.inc()
            return False
        return True

    def _put_aside(self, recorded: Sequence[Recorded]) -> None:
        """Write answers to the spool, from which they reach the store once it is back."""
        if not recorded:
            return
        try:
            self._spool.append(recorded)
        except (SpoolFull, OSError) as failure:
            log.warning("answers are dropped: the spool fails (%s)", failure or "it is full")
            self._metrics.dropped.inc(len(recorded))
            return
        self._metrics.spooled.inc(len(recorded))
        with self._changed:
            self._spooled.update(entry.answer.request_id for entry in recorded)

    def _drain_spool(self) -> None:
        try:
            self._spool.drain(self._add)
        except OSError as failure:
            log.warning("the spool cannot be read: %s", failure)
            return
        if self._spooled:
            with self._changed:
                self._spooled.clear()
                self._changed.notify_all()

    def _adopt_spool(self) -> None:
        """Know the answers that an earlier process has left in the spool."""
        try:
            waiting = self._spool.request_ids()
        except OSError as failure:
            log.warning("the spool cannot be read: %s", failure)
            return
        self._spooled |= waiting

    def _expire(self) -> None:
        if time.monotonic() >= self._expire_at:
            self._metrics.expired_images.inc(self._store.expire())
            self._expire_at = time.monotonic() + EXPIRY_SECONDS

    def _note_store(self, is_up: bool, reason: str = "") -> None:
        if reason and (self._is_up or not self._retry_at):
            log.warning("%s; answers wait in %s", reason, self._spool.path)
        self._is_up = is_up
        self._metrics.store_up.set(is_up)

    def _settle(self, batch: Sequence[FinishedEdit]) -> None:
        """These edits are no longer in memory alone."""
        with self._changed:
            self._pending -= Counter(edit.request_id for edit in batch)  # drops those at 0
            self._changed.notify_all()

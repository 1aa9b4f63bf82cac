"""Calls that are waited for a limited time, so that a slow or broken one holds nobody up."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

LOG = logging.getLogger(__name__)
RUNNING = 4  # calls at a time, late ones among them


class BoundedCalls:
    """Runs functions in threads of their own, at most `running` at a time.

    A late call cannot be ended: it keeps its place until it returns, and its result is dropped."""

    def __init__(self, running: int = RUNNING):
        self._places = threading.BoundedSemaphore(running)

    def call(self, function: Callable[[], Any], seconds: float) -> Any | None:
        """What `function` returns; None where it fails, takes longer than `seconds`, or where late
        calls have all places."""
        if seconds <= 0 or not self._places.acquire(blocking=False):
            return None
        results: queue.SimpleQueue[Any] = queue.SimpleQueue()
        threading.Thread(
            target=self._run, args=(function, results), name="bounded-call", daemon=True
        ).start()
        try:
            return results.get(timeout=seconds)
        except queue.Empty:
            LOG.warning("the evaluator has not answered in %.1f s", seconds)
            return None

    def _run(self, function: Callable[[], Any], results: queue.SimpleQueue[Any]) -> None:
        result = None
        try:
            result = function()
        except Exception:
            LOG.warning("the evaluator has failed", exc_info=True)
        finally:
            self._places.release()
            results.put(result)

"""Histograms of scores on Triton's metrics page, by lane, operation and size of the region."""

from __future__ import annotations

import queue
import threading
from typing import Any

import triton_python_backend_utils as pb_utils

from retouch.api.response import EditInfo

NAME = "retouch_score"
DESCRIPTION = "Scores of results from 0 to 1, by part, lane, operation and size of the region"
BUCKETS = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95]
PARTS = ("score", "consistency", "instruction", "plausibility")
SMALL, LARGE = 0.15, 0.6  # shares of the picture that divide the sizes of a region
NO_OPERATION = "none"


class ScoreMetrics:
    """Publishes scores in a thread of its own, because each takes a call to Triton."""

    def __init__(self) -> None:
        self._family = pb_utils.MetricFamily(
            name=NAME, description=DESCRIPTION, kind=pb_utils.MetricFamily.HISTOGRAM
        )
        self._metrics: dict[tuple[str, ...], Any] = {}  # by the values of the labels
        self._waiting: queue.SimpleQueue[EditInfo | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="scores", daemon=True)
        self._thread.start()

    def record(self, info: EditInfo) -> None:
        """Record the scores of a result."""
        self._waiting.put(info)

    def stop(self) -> None:
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (info := self._waiting.get()) is not None:
            for part in PARTS:
                self._metric(part, info).observe(getattr(info.scores, part))

    def _metric(self, part: str, info: EditInfo) -> Any:
        labels = labels_of(part, info)
        key = tuple(labels.values())
        if key not in self._metrics:
            self._metrics[key] = self._family.Metric(labels=labels, buckets=BUCKETS)
        return self._metrics[key]


def labels_of(part: str, info: EditInfo) -> dict[str, str]:
    """The labels of one score: an edit of several operations counts for the first."""
    operation = info.operations[0].op if info.operations else NO_OPERATION
    return {"part": part, "lane": info.lane, "operation": operation, "region": _size(info)}


def _size(info: EditInfo) -> str:
    share = info.region.share if info.region else 1.0
    return "small" if share < SMALL else "medium" if share < LARGE else "large"

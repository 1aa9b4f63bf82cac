"""Metrics on Triton's metrics page."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import triton_python_backend_utils as pb_utils

from retouch.engine.metrics import MetricGroup

PUBLISH_SECONDS = 0.5  # between updates
LATENCY_BUCKETS = [  # seconds
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    120.0,
]


class Metrics:
    """Publishes numbers in a thread of its own: an update takes as long as a call, and an engine
    has no time for it."""

    def __init__(self, labels: dict[str, str], *groups: MetricGroup):
        """`labels` are of all metrics, beside the group's own."""
        kinds = {
            "counter": pb_utils.MetricFamily.COUNTER,
            "gauge": pb_utils.MetricFamily.GAUGE,
            "histogram": pb_utils.MetricFamily.HISTOGRAM,
        }
        self._families = []
        self._metrics = []
        self._published = {}
        for group in groups:
            numbers = group.numbers
            all_labels = {**labels, **group.labels}
            for name, (kind, description) in group.table.items():
                full = f"{group.prefix}_{name}" + "_total" * (kind == "counter")
                family = pb_utils.MetricFamily(name=full, description=description, kind=kinds[kind])
                self._families.append(family)  # a collected family removes its metrics
                buckets = {"buckets": LATENCY_BUCKETS} if kind == "histogram" else {}
                self._metrics.append(
                    (family.Metric(labels=all_labels, **buckets), kind, numbers, name)
                )
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(PUBLISH_SECONDS):
            for metric, kind, numbers, name in self._metrics:
                if kind == "histogram":
                    _observe(metric, getattr(numbers, name))
                else:
                    self._publish(metric, kind, getattr(numbers, name))

    def _publish(self, metric: Any, kind: str, value: float) -> None:
        before = self._published.get(metric, 0)
        if value == before:
            return
        if kind == "gauge":
            metric.set(value)
        else:
            metric.increment(value - before)
        self._published[metric] = value


def _observe(metric: Any, observations: deque[float]) -> None:
    """Publish and remove the observations. Other threads may append meanwhile."""
    while observations:
        metric.observe(observations.popleft())

"""Numbers on Triton's metrics page."""

from __future__ import annotations

import threading
from typing import Any

import triton_python_backend_utils as pb_utils

METRICS_EVERY = 0.5  # seconds
LATENCY_BUCKETS = [
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
]  # seconds


class Metrics:
    """Numbers on Triton's metrics page, brought up to date by a thread of their own: to tell Triton
    one takes as long as a call, and a loop has no time for it."""

    def __init__(
        self, labels: dict[str, str], *groups: tuple[str, dict[str, tuple[str, str]], Any]
    ):
        """A group is the beginning of its metrics' names, a table of attributes with their kind
        (counter or gauge) and words, and the object that has them."""
        kinds = {
            "counter": pb_utils.MetricFamily.COUNTER,
            "gauge": pb_utils.MetricFamily.GAUGE,
            "histogram": pb_utils.MetricFamily.HISTOGRAM,
        }
        self._families = []
        self._metrics = []
        self._told = {}
        for prefix, table, numbers in groups:
            for name, (kind, words) in table.items():
                full = f"{prefix}_{name}" + "_total" * (kind == "counter")
                family = pb_utils.MetricFamily(name=full, description=words, kind=kinds[kind])
                self._families.append(family)  # one that is collected takes its metrics with it
                buckets = {"buckets": LATENCY_BUCKETS} if kind == "histogram" else {}
                self._metrics.append((family.Metric(labels=labels, **buckets), kind, numbers, name))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._publish, name="metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _publish(self) -> None:
        while not self._over.wait(METRICS_EVERY):
            for metric, kind, numbers, name in self._metrics:
                if kind == "histogram":
                    _observe(metric, getattr(numbers, name))
                    continue
                value = getattr(numbers, name)
                before = self._told.get(metric, 0)
                if value != before:
                    metric.set(value) if kind == "gauge" else metric.increment(value - before)
                    self._told[metric] = value


def _observe(metric: Any, observations: Any) -> None:
    """Publish and drop what has been observed; other threads may append meanwhile."""
    while observations:
        metric.observe(observations.popleft())

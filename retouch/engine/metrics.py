"""Metrics of an engine, on Triton's metrics page. Triton's own counts end where the engine's queue
begins."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from retouch.engine.scheduler import BatchKey
from retouch.util.content_cache import Counts

COUNTER = "counter"
GAUGE = "gauge"
HISTOGRAM = "histogram"

MetricTable = dict[str, tuple[str, str]]  # attribute: kind and description


class MetricGroup(NamedTuple):
    """Prefix of the names, table of the metrics, the object with these attributes, and labels."""

    prefix: str
    table: MetricTable
    numbers: Any
    labels: Mapping[str, str] = {}


@dataclass
class EngineMetrics:
    """Counts since the engine started, written under its lock. Seconds are sums over all workers.
    The attributes are the names of the published metrics."""

    waiting: int = 0
    running: int = 0
    steps: int = 0
    stepped_edits: int = 0
    stepped_tokens: int = 0
    step_seconds: float = 0.0
    first_previews: int = 0
    first_preview_seconds: float = 0.0
    answered: int = 0
    failed: int = 0
    cancelled: int = 0
    refused: int = 0
    steps_cancelled: int = 0
    steps_reused: int = 0
    tokens_kept: int = 0
    # observations in seconds that are not published yet
    edit_latency_seconds: deque[float] = field(default_factory=deque)
    preview_latency_seconds: deque[float] = field(default_factory=deque)

    def record_step(
        self, edits: int, reused: int, key: BatchKey, skipped_tokens: int, seconds: float
    ) -> None:
        """Record a run of the step graph on `edits`, 0 without a run. `reused` edits took their
        step without it. `skipped_tokens` of an edit are outside of its region."""
        self.steps += edits > 0
        self.stepped_edits += edits
        self.stepped_tokens += edits * key.target_tokens
        self.step_seconds += seconds
        self.steps_reused += reused
        self.tokens_kept += edits * skipped_tokens

    def record_preview(self, seconds: float) -> None:
        """Record an edit's first preview, `seconds` after its admission."""
        self.first_previews += 1
        self.first_preview_seconds += seconds
        self.preview_latency_seconds.append(seconds)

    def record_end(self, steps: int, failure: Exception | None, seconds: float) -> None:
        """Record an edit that ended with `steps` left, `seconds` after its admission."""
        if failure is not None:
            self.failed += 1
        elif steps:
            self.cancelled += 1
            self.steps_cancelled += steps
        else:
            self.answered += 1
            self.edit_latency_seconds.append(seconds)


# The mean of seconds is the rate of a sum of seconds over the rate of its count.
ENGINE_METRICS: MetricTable = {
    "waiting": (GAUGE, "Edits that the loop has not begun"),
    "running": (GAUGE, "Edits between their steps"),
    "steps": (COUNTER, "Runs of the step graph"),
    "stepped_edits": (COUNTER, "Edits in those runs: by steps, the batch size"),
    "stepped_tokens": (COUNTER, "Target tokens in those runs"),
    "step_seconds": (COUNTER, "Seconds in those runs"),
    "first_previews": (COUNTER, "Edits that had a preview"),
    "first_preview_seconds": (
        COUNTER,
        "Seconds from admission to the first preview, of all of them",
    ),
    "answered": (COUNTER, "Edits that were denoised to the end"),
    "failed": (COUNTER, "Edits that ended with an error, among them passed deadlines"),
    "cancelled": (COUNTER, "Edits whose clients left"),
    "refused": (COUNTER, "Edits that were not admitted"),
    "steps_cancelled": (COUNTER, "Steps that were not taken because clients left"),
    "steps_reused": (COUNTER, "Steps that reused the previous velocity, where STEP_CACHE allows"),
    "edit_latency_seconds": (
        HISTOGRAM,
        "Seconds from admission to the result of edits that were denoised to the end",
    ),
    "preview_latency_seconds": (HISTOGRAM, "Seconds from admission to the first preview"),
    "tokens_kept": (
        COUNTER,
        "Target tokens that were not denoised because they lie outside of an edit's region",
    ),
}
REFERENCE_METRICS: MetricTable = {
    "hits": (COUNTER, "References whose keys and values were cached"),
    "misses": (COUNTER, "References whose keys and values were computed"),
    "evictions": (COUNTER, "References that were evicted"),
    "bytes": (GAUGE, "Bytes of the references' keys and values"),
}


HOST_METRICS: MetricTable = {
    "hits": (COUNTER, "References that came back from host memory"),
    "evictions": (COUNTER, "References that host memory gave up"),
    "bytes": (GAUGE, "Bytes of the references in host memory"),
}


@dataclass(frozen=True)
class AdapterCounts:
    """The counts of loaded adapters, under the names of their metrics."""

    counts: Counts

    @property
    def loaded(self) -> int:
        return self.counts.entries

    @property
    def bytes(self) -> int:
        return self.counts.bytes

    @property
    def hits(self) -> int:
        return self.counts.hits

    @property
    def loads(self) -> int:
        return self.counts.misses

    @property
    def evictions(self) -> int:
        return self.counts.evictions


ADAPTER_METRICS: MetricTable = {
    "loaded": (GAUGE, "Adapters in memory: sets of names and scales"),
    "bytes": (GAUGE, "Bytes of their matrices"),
    "hits": (COUNTER, "Edits and prefills whose adapters were in memory"),
    "loads": (COUNTER, "Adapters that were read from their folder"),
    "evictions": (COUNTER, "Adapters that were evicted"),
}


def metric_groups(
    metrics: EngineMetrics, references: Counts, host_references: Counts, adapters: Counts
) -> tuple[MetricGroup, ...]:
    """The metrics of a lane."""
    return (
        MetricGroup("retouch_denoiser", ENGINE_METRICS, metrics),
        MetricGroup("retouch_references", REFERENCE_METRICS, references),
        MetricGroup("retouch_host_references", HOST_METRICS, host_references),
        MetricGroup("retouch_adapters", ADAPTER_METRICS, AdapterCounts(adapters)),
    )

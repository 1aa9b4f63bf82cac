"""What a denoiser's loop has done since it started, and what it has before it: Triton's own counts
end where the loop's queue begins."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from retouch.engine.scheduler import BatchKey
from retouch.util.content_cache import Counts

COUNTER = "counter"
GAUGE = "gauge"
HISTOGRAM = "histogram"


@dataclass
class EngineMetrics:
    """Plain numbers, written under the loop's lock alone. `first_previews` are edits that had one;
    seconds in steps are those of all workers together."""

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

    def stepped(self, edits: int, reused: int, size: BatchKey, spared: int, seconds: float) -> None:
        """A run of `edits`, or none, beside which `reused` took their step without it. Each has so
        many target tokens `spared`."""
        self.steps += edits > 0
        self.stepped_edits += edits
        self.stepped_tokens += edits * size.tokens
        self.step_seconds += seconds
        self.steps_reused += reused
        self.tokens_kept += edits * spared

    def ended(self, steps: int, failure: Exception | None) -> None:
        """An edit with so many steps left."""
        self.failed += failure is not None
        if failure is None:
            self.answered += not steps
            self.cancelled += steps > 0
            self.steps_cancelled += steps


# name of a metric: kind, what it says. A rate of seconds by a rate of counts is a mean
EDITS = {
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
    "steps_cancelled": (COUNTER, "Steps that need not be taken because clients left"),
    "steps_reused": (
        COUNTER,
        "Steps taken with a velocity from before, where STEP_CACHE allows it",
    ),
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
REFERENCES = {
    "hits": (COUNTER, "Sources that were remembered"),
    "misses": (COUNTER, "Sources whose keys and values were computed"),
    "evictions": (COUNTER, "Sources that were forgotten"),
    "bytes": (GAUGE, "Bytes of the sources' keys and values"),
}


def groups(
    tally: EngineMetrics, references: Counts
) -> tuple[tuple[str, dict[str, tuple[str, str]], object], ...]:
    """Beginnings of metrics' names, what they say, and where the numbers are."""
    return ("retouch_denoiser", EDITS, tally), ("retouch_references", REFERENCES, references)

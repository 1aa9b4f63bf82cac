"""One run of a load, by its client's clock."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.interleave import quantile


@dataclass(frozen=True)
class Request:
    """Seconds of one clock: when it was sent, and when its answers came, the final one last;
    milliseconds by stage from INFO."""

    sent: float
    answers: list[float]
    milliseconds: dict[str, float] = field(default_factory=dict)

    @property
    def latency(self) -> float:
        """Milliseconds to the final answer."""
        return (self.answers[-1] - self.sent) * 1000


@dataclass(frozen=True)
class Run:
    """Latencies in milliseconds and edits a second. `good` is the share of all requests that met
    the SLO, `goodput` the same a second, `refused` the share that the server refused, `sent` the
    rate of arrivals. `queue` is the mean wait in Triton's queue. For streams, `first` is the median
    time to the first preview and `gap` the one between answers."""

    p50: float
    p90: float
    p99: float
    rate: float
    good: float
    goodput: float
    refused: float
    sent: float | None = None
    queue: float | None = None
    first: float | None = None
    gap: float | None = None

    @classmethod
    def of(
        cls,
        requests: Sequence[Request],
        slo_ms: float,
        refused: Sequence[float] = (),
        queue: float | None = None,
    ) -> Run:
        """`refused` are the send times of the requests that the server refused."""
        latencies = [request.latency for request in requests]
        times = [*(request.sent for request in requests), *refused]
        seconds = max(request.answers[-1] for request in requests) - min(times)
        good = sum(latency <= slo_ms for latency in latencies)
        streamed = [request for request in requests if len(request.answers) > 1]
        gaps = [
            (b - a) * 1000
            for request in streamed
            for a, b in zip(request.answers, request.answers[1:])
        ]
        return cls(
            *(quantile(latencies, share) for share in (0.5, 0.9, 0.99)),
            rate=len(requests) / seconds,
            good=good / len(times),
            goodput=good / seconds,
            refused=len(refused) / len(times),
            sent=(len(times) - 1) / (max(times) - min(times)) if max(times) > min(times) else None,
            queue=queue,
            first=statistics.median(
                (request.answers[0] - request.sent) * 1000 for request in streamed
            )
            if streamed
            else None,
            gap=statistics.median(gaps) if gaps else None,
        )


def stages(requests: Sequence[Request]) -> dict[str, float]:
    """Median milliseconds by stage."""
    times: dict[str, list[float]] = defaultdict(list)
    for request in requests:
        for stage, spent in request.milliseconds.items():
            times[stage].append(spent)
    return {stage: statistics.median(spent) for stage, spent in times.items()}

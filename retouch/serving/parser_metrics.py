"""Metrics of the model `vl_parser`, on Triton's metrics page."""

from __future__ import annotations

from dataclasses import dataclass

from retouch.api.response import REASONS, EditInfo, Reason
from retouch.engine.metrics import COUNTER, MetricGroup, MetricTable

NOT_UNDERSTOOD: MetricTable = {
    "not_understood": (COUNTER, "Instructions that were not understood, whatever became of them"),
}


@dataclass
class ReasonCount:
    """Instructions that were not understood for one reason; the attribute is the metric's name."""

    not_understood: int = 0


class ParserMetrics:
    """Counts since the model was loaded."""

    def __init__(self) -> None:
        self.by_reason: dict[Reason, ReasonCount] = {reason: ReasonCount() for reason in REASONS}

    def record(self, info: EditInfo) -> None:
        """Record an instruction that was parsed."""
        if info.reason is not None:
            self.by_reason[info.reason].not_understood += 1

    def groups(self) -> list[MetricGroup]:
        return [
            MetricGroup("retouch", NOT_UNDERSTOOD, count, {"reason": reason})
            for reason, count in self.by_reason.items()
        ]

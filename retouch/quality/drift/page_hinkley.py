"""The test of Page and Hinkley for a change of a stream's mean.

Page, "Continuous Inspection Schemes", Biometrika 1954; Hinkley, "Inference about the change-point
from cumulative sum tests", Biometrika 1971. Deviations from the mean so far are summed, once less a
tolerated change and once more. A sum that leaves its extreme by more than a threshold is a change.
Older deviations count less by a factor, as in Mouss et al. (2004)."""

from __future__ import annotations

import math


class PageHinkley:
    """A detector of changes of a stream's mean, up or down.

    `count` and `mean` are of the values since the start or the last change. `detections` counts the
    changes."""

    def __init__(
        self,
        least_values: int = 30,
        delta: float = 0.005,
        threshold: float = 50.0,
        alpha: float = 0.9999,
    ):
        """No change is reported before `least_values`. `delta`, in units of the values, is a change
        of the mean that is tolerated. `threshold` is of the summed deviations, so that scores from
        0 to 1 want a much lower one. `alpha` is what a sum keeps at each value.

        ValueError where `alpha` is not above 0 and at most 1, or another is negative."""
        if not 0 < alpha <= 1:
            raise ValueError(f"alpha is {alpha:g}; it must be above 0 and at most 1")
        if min(least_values, delta, threshold) < 0:
            raise ValueError("least_values, delta and threshold must not be negative")
        self.detections = 0
        self._least_values = least_values
        self._delta = delta
        self._threshold = threshold
        self._alpha = alpha
        self._restart()

    def update(self, value: float) -> bool:
        """Add a value. True where the mean has changed; the next value is then the first of a new
        stream.

        ValueError where the value is not finite."""
        if not math.isfinite(value):
            raise ValueError(f"a stream's values must be finite; one is {value}")
        if self._has_changed:
            self._restart()
        self.count += 1
        self.mean += (value - self.mean) / self.count
        deviation = value - self.mean
        self._rise = self._alpha * self._rise + deviation - self._delta
        self._fall = self._alpha * self._fall + deviation + self._delta
        self._lowest_rise = min(self._lowest_rise, self._rise)
        self._highest_fall = max(self._highest_fall, self._fall)
        self._has_changed = self.count >= self._least_values and self.excess > self._threshold
        self.detections += self._has_changed
        return self._has_changed

    @property
    def excess(self) -> float:
        """How far a sum is from its extreme, which the threshold is for; 0 before the first
        value."""
        if not self.count:
            return 0.0
        return max(self._rise - self._lowest_rise, self._highest_fall - self._fall)

    def _restart(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._rise = 0.0
        self._fall = 0.0
        self._lowest_rise = math.inf
        self._highest_fall = -math.inf
        self._has_changed = False

"""ADWIN2: a window of a stream that loses its older part when the mean has changed.

Bifet and Gavaldà, "Learning from Time-Changing Data with Adaptive Windowing", SDM 2007. The window
is an exponential histogram: buckets of 1, 2, 4, … values, of which only sum and spread are kept. So
a window of W values needs O(log W) memory. Spreads of buckets are joined and parted as in Chan,
Golub and LeVeque (1983)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple


class Bucket(NamedTuple):
    """`size` neighbouring values: their sum `total`, and `spread`, the sum of the squares of their
    distances from their mean."""

    size: int = 0
    total: float = 0.0
    spread: float = 0.0

    @property
    def mean(self) -> float:
        return self.total / self.size if self.size else 0.0

    def joined(self, other: Bucket) -> Bucket:
        """The values of both."""
        size = self.size + other.size
        if not size:
            return self
        between = self.size * other.size * (self.mean - other.mean) ** 2 / size
        return Bucket(size, self.total + other.total, self.spread + other.spread + between)

    def without(self, part: Bucket) -> Bucket:
        """These values without those of `part`, which are among them."""
        rest = Bucket(self.size - part.size, self.total - part.total)
        between = rest.size * part.size * (rest.mean - part.mean) ** 2 / self.size
        return Bucket(rest.size, rest.total, max(0.0, self.spread - part.spread - between))


class Adwin:
    """A detector of changes of a stream's mean.

    `window` has size, sum and spread of the values that are kept. `detections` counts the updates
    that have found a change."""

    def __init__(
        self,
        delta: float = 0.002,
        clock: int = 32,
        grace: int = 10,
        most_buckets: int = 5,
        least_values: int = 5,
    ):
        """`delta` bounds the probability of a false alarm at one check. Every `clock` values the
        window is checked, once it has more than `grace`. A size of bucket has at most
        `most_buckets`, and each part of a cut window at least `least_values` values.

        ValueError where `delta` is not between 0 and 1, or a count is below 1."""
        if not 0 < delta < 1:
            raise ValueError(f"delta is {delta:g}; it must be between 0 and 1")
        if min(clock, grace, most_buckets, least_values) < 1:
            raise ValueError("clock, grace, most_buckets and least_values must be at least 1")
        self.window = Bucket()
        self.detections = 0
        self._delta = delta
        self._clock = clock
        self._grace = grace
        self._most_buckets = most_buckets
        self._least_values = least_values
        self._updates = 0
        self._rows: list[list[Bucket]] = [[]]  # buckets of 2 ** row values, the oldest first

    @property
    def mean(self) -> float:
        """Of the window; 0 before the first value."""
        return self.window.mean

    @property
    def variance(self) -> float:
        """Of the window's values, as a population; 0 before the first."""
        return self.window.spread / self.window.size if self.window.size else 0.0

    def update(self, value: float) -> bool:
        """Add a value. True where the mean has changed; the window then holds the newer part alone.

        ValueError where the value is not finite."""
        if not math.isfinite(value):
            raise ValueError(f"a stream's values must be finite; one is {value}")
        self._insert(Bucket(1, float(value)))
        self._updates += 1
        is_checked = self._updates % self._clock == 0 and self.window.size > self._grace
        if not (is_checked and self._has_changed()):
            return False
        self.detections += 1
        while self._drop_oldest() and self._has_changed():
            pass
        return True

    def _insert(self, bucket: Bucket) -> None:
        self.window = self.window.joined(bucket)
        self._rows[0].append(bucket)
        for number, row in enumerate(self._rows):
            if len(row) <= self._most_buckets:
                return
            if number + 1 == len(self._rows):
                self._rows.append([])
            older, newer = row[:2]
            del row[:2]
            self._rows[number + 1].append(older.joined(newer))

    def _drop_oldest(self) -> bool:
        """Whether values are left."""
        self.window = self.window.without(self._rows[-1].pop(0))
        while len(self._rows) > 1 and not self._rows[-1]:
            self._rows.pop()
        return self.window.size > 0

    def _buckets(self) -> Iterator[Bucket]:
        """The oldest first."""
        for row in reversed(self._rows):
            yield from row

    def _has_changed(self) -> bool:
        """Whether some cut parts the window into two whose means differ by more than chance.

        The bound is ε of the paper's section 3.3. As in river, the sizes of both parts count for
        less by the least number of values but one, and the confidence is for all cuts at once."""
        size, total, _ = self.window
        if size < 2:
            return False
        confidence = math.log(2 * math.log(size) / self._delta)
        normal = 2 * self.variance * confidence
        spare = self._least_values - 1
        older = 0
        older_total = 0.0
        for bucket in self._buckets():
            older += bucket.size
            older_total += bucket.total
            newer = size - older
            if newer <= spare:
                return False
            if older <= spare:
                continue
            inverse = 1 / (older - spare) + 1 / (newer - spare)
            bound = math.sqrt(normal * inverse) + 2 / 3 * confidence * inverse
            if abs(older_total / older - (total - older_total) / newer) > bound:
                return True
        return False

"""Thresholds of the evaluator's scores: what is accepted, what is reviewed, what is rejected.

    0 ... reject_below ... accept_from ... 1
     rejected    |   reviewed   |   accepted

A spoiled answer that is accepted is missed; a good answer that is rejected is a false alarm. So
`accept_from` decides the recall of spoiled answers, and `reject_below` the false alarms."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from retouch.quality.thresholds.clopper_pearson import CONFIDENCE, lower_bound, upper_bound

RECALL = 0.95  # of spoiled answers, at least
FALSE_ALARMS = 0.02  # of good answers, at most
ANY = "*"  # the lane or the operation class of thresholds that hold for all


@dataclass(frozen=True)
class Recall:
    """Spoiled answers: `n` in all, of which `k` are not accepted. `low` is the one-sided
    Clopper-Pearson bound of the share."""

    n: int
    k: int
    confidence: float = CONFIDENCE
    low: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "low", lower_bound(self.k, self.n, self.confidence))

    @property
    def is_certified(self) -> bool:
        """Whether the counts show a recall of RECALL; else k / n is only a point estimate."""
        return self.low >= RECALL


@dataclass(frozen=True)
class FalseAlarms:
    """Good answers: `n` in all, of which `k` are rejected. `high` is the one-sided bound of the
    share."""

    n: int
    k: int
    confidence: float = CONFIDENCE
    high: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "high", upper_bound(self.k, self.n, self.confidence))

    @property
    def is_certified(self) -> bool:
        """Whether the counts show that at most FALSE_ALARMS of the good answers are rejected."""
        return self.high <= FALSE_ALARMS


@dataclass(frozen=True)
class ClassThresholds:
    """Thresholds of one lane and operation class, either of which may be ANY. Counts are of answers
    that the thresholds were not chosen on."""

    lane: str
    operation: str
    reject_below: float
    accept_from: float
    recall: Recall
    false_alarms: FalseAlarms


@dataclass(frozen=True)
class Thresholds:
    """The thresholds of one version of the evaluator. `date` is in ISO's form, `data_sha256` the
    digest of the scores that they come from."""

    evaluator: str
    date: str
    data_sha256: str
    classes: tuple[ClassThresholds, ...]
    confidence: float = CONFIDENCE

    def find(self, lane: str, operation: str) -> ClassThresholds | None:
        """Those of the lane and operation class; without them those of the lane, of the operation
        class, of all. None where there are no such."""
        by_name = {(entry.lane, entry.operation): entry for entry in self.classes}
        names = ((lane, operation), (lane, ANY), (ANY, operation), (ANY, ANY))
        return next((by_name[name] for name in names if name in by_name), None)


def duplicates(classes: Iterable[ClassThresholds]) -> list[int]:
    """The indices of classes whose lane and operation an earlier one has."""
    seen: set[tuple[str, str]] = set()
    repeated = []
    for index, entry in enumerate(classes):
        name = (entry.lane, entry.operation)
        if name in seen:
            repeated.append(index)
        seen.add(name)
    return repeated

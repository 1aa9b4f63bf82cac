"""Scores: from a judge's values to figures with their spread over repeats."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from retouch_clients.evaluation.answers import Answers
from retouch_clients.evaluation.item import Item
from retouch_clients.evaluation.suites.base import Figure, Suite

ENOUGH = 3  # repeats of a figure that is worth reporting


@dataclass(frozen=True)
class Spread:
    """A figure over its repeats. `deviation` is the sample's, None for fewer than two values."""

    name: str
    values: tuple[float, ...]
    counts: tuple[int, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float | None:
        return statistics.stdev(self.values) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Scores:
    """The scores of each picture by method and item, and the figures with the headline first."""

    pictures: Mapping[tuple[str, str], Mapping[str, float]] = field(default_factory=dict)
    figures: Sequence[Spread] = ()


def score(suite: Suite, items: Sequence[Item], methods: Sequence[str], answers: Answers) -> Scores:
    """Score each method on its own, and put the methods' figures side by side."""
    by_name = {item.name: item for item in items}
    pictures = {
        (method, name): suite.scores(by_name[name], values)
        for (method, name), values in answers.values.items()
        if method in methods
    }
    repeats = []
    for method in methods:
        scored = [
            (item, pictures[method, item.name]) for item in items if (method, item.name) in pictures
        ]
        repeats.append(suite.figures(scored))
    return Scores(pictures, spreads(repeats))


def spreads(repeats: Sequence[Sequence[Figure]]) -> list[Spread]:
    """Each figure over the repeats that have a value for it, in the order of the suite."""
    names = dict.fromkeys(figure.name for figures in repeats for figure in figures)
    result = []
    for name in names:
        known = [
            (figure.value, figure.count)
            for figures in repeats
            for figure in figures
            if figure.name == name and figure.value is not None
        ]
        if known:
            values, counts = zip(*known)
            result.append(Spread(name, values, counts))
    return result

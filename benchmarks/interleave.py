"""Times several ways of doing the same work in turns, so that other load affects all of them."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

Ways = dict[str, Callable[[int], object]]


def alike(ways: Ways) -> None:
    """Exit before measuring, unless all ways give the same result for turn 0."""
    if len({way(0) for way in ways.values()}) != 1:
        sys.exit("the ways give different images")


def in_turns(ways: Ways, count: int, warm_up: int = 1) -> dict[str, list[float]]:
    """Milliseconds of `count` calls of each way, called with 0, 1, …; the first `warm_up` turns are
    not counted."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(warm_up + count):
        for name, way in ways.items():
            begin = time.perf_counter()
            way(turn)
            if turn >= warm_up:
                spent[name].append((time.perf_counter() - begin) * 1000)
    return spent


def medians(spent: dict[str, list[float]]) -> dict[str, float]:
    return {name: statistics.median(times) for name, times in spent.items()}


def quantile(values: list[float], share: float) -> float:
    return float(np.quantile(values, share, method="higher"))

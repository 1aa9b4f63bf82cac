"""Seconds of a device's work, by its own clock where it has one."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Timing:
    """Seconds of one run: median, smallest and largest of `count` samples."""

    median: float
    least: float
    most: float
    count: int

    @classmethod
    def of(cls, samples: list[float]) -> Timing:
        return cls(statistics.median(samples), min(samples), max(samples), len(samples))

    def shared(self, parts: int) -> Timing:
        """Of one of `parts` equal parts."""
        return Timing(self.median / parts, self.least / parts, self.most / parts, self.count)


def timed(
    function: Callable[[], object],
    device: torch.device,
    count: int,
    warm_up: int = 2,
    repeat: int = 1,
) -> Timing:
    """`function` after `warm_up` samples; a sample is the mean of `repeat` runs without a pause
    between them."""
    sample = _on_gpu if device.type == "cuda" else _on_cpu
    return Timing.of([sample(function, repeat) for _ in range(warm_up + count)][warm_up:])


def _on_gpu(function: Callable[[], object], repeat: int) -> float:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    begin.record()
    for _ in range(repeat):
        function()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / 1000 / repeat


def _on_cpu(function: Callable[[], object], repeat: int) -> float:
    begin = time.perf_counter()
    for _ in range(repeat):
        function()
    return (time.perf_counter() - begin) / repeat

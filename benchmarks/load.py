"""The scheduler under load: its latencies against other servers with the same arrivals and
graphs."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.arrivals import Served, poisson, replay
from benchmarks.baselines import BATCH, WAIT, OneByOne, StaticBatches
from benchmarks.held_out_edits import Prepared, local, prepare
from benchmarks.interleave import in_turns, medians, quantile
from benchmarks.table import AT_MOST, Row
from retouch.backends.onnx import THREADS
from retouch.engine import cost_model
from retouch.engine.denoiser import Denoiser
from retouch.engine.engine import Engine
from retouch.offline.plain_loop import PlainLoop

STEPS = 12
PREVIEWS = 3
WHOLE = 0.3  # share of full-frame edits
LOAD = 0.7  # of capacity
SCENES = 24
ONE = "one edit at a time, in order"
STATIC = f"static batches of {BATCH}, {WAIT * 1000:.0f} ms wait"

Picked = Callable[[list[Served]], list[float]]


def load_rows(loop: PlainLoop, folder: Path, seeds: int, count: int) -> list[Row]:
    """Runs of `count` arrivals, one a seed; every figure is the median of the runs. Ours steps
    edits side by side on all cores. The others run one edit or batch at a time, with the number of
    threads a graph that makes them fastest."""
    scenes = prepare(loop, local, SCENES)
    costs = cost_model.load(folder)
    ways = {threads: known(folder, scenes, threads) for threads in (1, os.cpu_count())}
    denoiser = ways[1]
    services = {threads: service(way, scenes) for threads, way in ways.items()}
    best = min(services, key=lambda threads: sum(services[threads].values()))
    theirs = ways[best]
    seconds = services[best]
    rate = LOAD / (WHOLE * seconds["whole"] + (1 - WHOLE) * seconds["local"])
    servers = {
        "ours": lambda: Engine(denoiser, costs, costs.workers(denoiser.workers)),
        ONE: lambda: OneByOne(theirs),
        STATIC: lambda: StaticBatches(theirs),
    }
    runs: dict[str, list[list[Served]]] = {name: [] for name in servers}
    for seed in range(seeds):
        arrivals = poisson(scenes, rate, count, WHOLE, STEPS, PREVIEWS, seed)
        for name, server in servers.items():
            runs[name].append(replay(arrivals, server()))
    quality = (
        f"the same edits; {seeds} × {count} at {rate:.1f} a second, their graphs on {best} "
        f"thread{'s' * (best > 1)}"
    )
    bound = (
        f"alone a local edit takes {seconds['local'] * 1000:.0f} ms and a full-frame one "
        f"{seconds['whole'] * 1000:.0f} ms, and that is what the fastest order leaves"
    )
    figures = [
        ("mean latency", ONE, everybody, statistics.fmean, 0.6),
        ("p99 of full-frame edits", ONE, whole, lambda values: quantile(values, 0.99), 1.3),
        ("p95", STATIC, everybody, lambda values: quantile(values, 0.95), 0.5),
        ("first preview, mean", STATIC, previews, statistics.fmean, 0.3),
    ]
    return [_row(runs, *figure, quality, bound) for figure in figures]


def known(folder: Path, scenes: Sequence[Prepared], threads: int) -> Denoiser:
    """A denoiser with so many threads a graph, and all sources in its reference cache."""
    before = os.environ.get(THREADS)
    os.environ[THREADS] = str(threads)
    try:
        denoiser = Denoiser(folder)
    finally:
        os.environ.pop(THREADS) if before is None else os.environ.update({THREADS: before})
    for scene in scenes:
        denoiser.prefill(scene.latents)
    return denoiser


def everybody(run: list[Served]) -> list[float]:
    return [served.latency for served in run]


def whole(run: list[Served]) -> list[float]:
    return [served.latency for served in run if served.arrival.whole]


def previews(run: list[Served]) -> list[float]:
    return [served.preview for served in run]


def service(denoiser: Denoiser, scenes: Sequence[Prepared]) -> dict[str, float]:
    """Mean seconds of an edit alone on the machine. Their mix bounds what one at a time can do."""

    def way(whole: bool):
        return lambda turn: list(
            denoiser.run(scenes[turn % len(scenes)].denoise_request(whole, turn, STEPS, PREVIEWS))
        )

    spent = in_turns({"local": way(False), "whole": way(True)}, len(scenes))
    return {name: statistics.fmean(times) / 1000 for name, times in spent.items()}


def _row(
    runs: dict[str, list[list[Served]]],
    name: str,
    against: str,
    picked: Picked,
    figure: Callable[[list[float]], float],
    aim: float,
    quality: str,
    bound: str,
) -> Row:
    samples = {who: [figure(picked(run)) * 1000 for run in runs[who]] for who in ("ours", against)}
    middle = medians(samples)
    return Row(
        f"Poisson arrivals, {LOAD:.0%} of capacity: {name}",
        against,
        middle["ours"],
        middle[against],
        "ms",
        AT_MOST,
        aim,
        quality,
        bound,
        {"runs": samples},
    )

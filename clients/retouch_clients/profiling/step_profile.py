"""Measure the time and memory of a step over batch size, target tokens and reference tokens.

The scheduler reads the fitted cost model (`cost.json`) when a server starts.
"""

from __future__ import annotations

import contextlib
import platform
import statistics
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.progress import track
from rich.table import Table

from retouch.backends.base import backend_of
from retouch.engine import cost_model
from retouch.engine.cost_model import Cost, Measured
from retouch.engine.denoiser import Denoiser
from retouch.engine.edit_state import EditState
from retouch.families.base import Family, Size
from retouch.families.denoise_request import DenoiseRequest
from retouch_clients.cli.console import console
from retouch_clients.profiling.memory_footprint import memory_footprint

BATCHES = (1, 2, 4, 8)
SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)  # edited share of the image
REPEATS = 7
WARM_UP = 2


def profile(repository: Path, lane: str, runner: str = "onnx") -> Path:
    """Measure a lane and write its cost model. ArtifactError if the lane is not exported."""
    folder = repository / f"denoiser_{lane}" / "1"
    denoiser = Denoiser(folder, backend_of(runner))
    # memory first: a runtime keeps what it has allocated once
    reference_bytes, step_bytes = bytes_per_token(denoiser)
    points = list(points_of(denoiser.family))
    measured = [
        measure(denoiser, *point)
        for point in track(points, f"measuring {lane}", console=console, transient=True)
    ]
    cost = replace(
        cost_model.fit(measured),
        kv_bytes_per_token=reference_bytes,
        activation_bytes_per_token=step_bytes,
        contention=contention(denoiser),
    )
    show(lane, cost, measured, denoiser.workers)
    machine = platform.processor() or platform.machine()
    return cost_model.save(cost, measured, f"{machine}, {runner}", folder)


def points_of(family: Family) -> Iterator[tuple[int, float, Size]]:
    """(batch, edited share, image size) to measure. Some families edit whole images only."""
    for size in dict.fromkeys(size for span in family.size_ranges for size in span):
        for share in SHARES if family.supports_regions else (1,):
            yield from ((batch, share, size) for batch in BATCHES)


def bytes_per_token(denoiser: Denoiser) -> tuple[float, float]:
    """Bytes that an edit keeps per reference token, and that a step allocates per token."""
    with edits(denoiser, BATCHES[-1], 1, default_size(denoiser)) as states:
        for state in states:  # their references are computed outside the step
            denoiser.prepare(state)
        allocated = memory_footprint(lambda: denoiser.step(states))
        key = states[0].batch_key
        tokens = BATCHES[-1] * (key.target_tokens + key.reference_tokens)
        reference_bytes = states[0].nbytes / key.reference_tokens
        return reference_bytes, allocated / tokens or Cost().activation_bytes_per_token


def contention(denoiser: Denoiser) -> float:
    """The ratio of a step's time with all workers busy to its time alone."""

    def step_seconds(workers: int) -> float:
        with ThreadPoolExecutor(workers) as threads:
            measurements = threads.map(
                lambda _: measure(denoiser, 1, 1, default_size(denoiser)).seconds, range(workers)
            )
            return statistics.median(measurements)

    if denoiser.workers == 1:
        return 1.0
    return statistics.median(
        step_seconds(denoiser.workers) / step_seconds(1) for _ in range(REPEATS)
    )


def default_size(denoiser: Denoiser) -> Size:
    return denoiser.family.size_ranges[0][1]


def measure(denoiser: Denoiser, batch: int, share: float, size: Size) -> Measured:
    """The median time of a step with `batch` edits of a `share` of an image.

    `size` is (height, width) in pixels."""
    seconds = []
    with edits(denoiser, batch, share, size) as states:
        for turn in range(WARM_UP + REPEATS):
            begin = time.perf_counter()
            denoiser.step(states)
            if turn >= WARM_UP:
                seconds.append(time.perf_counter() - begin)
        key = states[0].batch_key
        return Measured(batch, key.target_tokens, key.reference_tokens, statistics.median(seconds))


@contextlib.contextmanager
def edits(denoiser: Denoiser, batch: int, share: float, size: Size) -> Iterator[list[EditState]]:
    """`batch` edits of noise in the denoiser until the block ends."""
    states = list(_edits(denoiser, batch, share, size))
    try:
        yield states
    finally:
        for state in states:
            denoiser.end(state)


def show(lane: str, cost: Cost, measured: list[Measured], workers: int) -> None:
    """Print the measurements beside the fitted model."""
    table = Table(
        title=f"milliseconds per step, {lane}",
        caption=(
            f"{cost.step * 1e3:.2f} ms per step, {cost.edit * 1e3:.2f} ms per edit, "
            f"{cost.token * 1e6:.1f} µs per token, "
            f"{cost.pair * 1e9:.1f} ns per pair of tokens in attention;\n"
            f"{cost.kv_bytes_per_token / 1e3:.1f} kB kept per reference token, "
            f"{cost.activation_bytes_per_token / 1e3:.1f} kB allocated per token in a step; "
            f"{workers} concurrent steps take {cost.contention:.2f} times as long"
        ),
    )
    columns = ("edits", "target tokens", "reference tokens", "measured", "model", "unbatched")
    for column in columns:
        table.add_column(column, justify="right")
    for row in measured:
        point = row.batch, row.target_tokens, row.reference_tokens
        unbatched = row.batch * cost.seconds(1, row.target_tokens, row.reference_tokens)
        seconds = row.seconds, cost.seconds(*point), unbatched
        table.add_row(*map(str, point), *(f"{value * 1e3:.2f}" for value in seconds))
    console.print(table)


def _edits(denoiser: Denoiser, batch: int, share: float, size: Size) -> Iterator[EditState]:
    """Edits of noise, with more steps than are measured.

    They have a negative prompt if the family's edits usually have one."""
    rng = np.random.default_rng(0)
    family = denoiser.family
    latents_shape, embeds_shapes = family.shapes(size, family.text_tokens[1])
    for seed in range(batch):
        latents = rng.standard_normal(latents_shape, np.float32)
        embeds = {
            name: rng.standard_normal(shape, np.float32) for name, shape in embeds_shapes.items()
        }
        cells = len(family.pack(latents))
        region = rng.permutation(cells) < max(1, round(share * cells))
        yield denoiser.begin(
            DenoiseRequest(
                latents,
                embeds,
                region,
                seed,
                steps=WARM_UP + REPEATS + 1,
                true_cfg=family.true_cfg,
                negative=embeds if family.true_cfg > 1 else None,
            )
        )

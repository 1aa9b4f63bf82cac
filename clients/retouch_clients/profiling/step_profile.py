"""`retouch calibrate`: what a step costs here, measured over batch, target and reference tokens,
kept for the scheduler."""

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
from retouch_clients.profiling.memory_footprint import footprint

BATCHES = (1, 2, 4, 8)
SHARES = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)
REPEATS = 7
WARM_UP = 2


def calibrate(repository: Path, lane: str, runner: str = "onnx") -> Path:
    """Measure the lane's steps and write its cost model; ArtifactError when the lane is not
    exported."""
    folder = repository / f"denoiser_{lane}" / "1"
    denoiser = Denoiser(folder, backend_of(runner))
    kept, held = sizes(denoiser)  # first: a runtime keeps the memory that it once took
    points = list(points_of(denoiser.family))
    measured = [
        measure(denoiser, *point)
        for point in track(points, f"measuring {lane}", console=console, transient=True)
    ]
    found = replace(cost_model.fit(measured), kept=kept, held=held, beside=beside(denoiser))
    show(lane, found, measured, denoiser.workers)
    return cost_model.save(
        found, measured, f"{platform.processor() or platform.machine()}, {runner}", folder
    )


def points_of(family: Family) -> Iterator[tuple[int, float, Size]]:
    """Batches, shares of an image and its sizes that are measured; some families edit whole images
    only."""
    for size in dict.fromkeys(size for span in family.size_ranges for size in span):
        for share in SHARES if family.supports_regions else (1,):
            yield from ((batch, share, size) for batch in BATCHES)


def sizes(denoiser: Denoiser) -> tuple[float, float]:
    """Bytes that an edit keeps for each reference token, and that a step holds for each token of
    either kind."""
    with edits(denoiser, BATCHES[-1], 1, usual(denoiser)) as several:
        for edit in several:  # their references are not the step's
            denoiser.look(edit.wanted.latents)
        held = footprint(lambda: denoiser.step(several))
        size, tokens = (
            several[0].size,
            BATCHES[-1] * (several[0].size.tokens + several[0].size.reference),
        )
        return several[0].nbytes / size.reference, held / tokens or Cost().held


def beside(denoiser: Denoiser) -> float:
    """How many times longer a step takes when all workers step."""

    def spent(workers: int) -> float:
        with ThreadPoolExecutor(workers) as threads:
            return statistics.median(
                threads.map(
                    lambda _: measure(denoiser, 1, 1, usual(denoiser)).seconds, range(workers)
                )
            )

    return (
        statistics.median(spent(denoiser.workers) / spent(1) for _ in range(REPEATS))
        if denoiser.workers > 1
        else 1.0
    )


def usual(denoiser: Denoiser) -> Size:
    return denoiser.family.size_ranges[0][1]


def measure(denoiser: Denoiser, batch: int, share: float, size: Size) -> Measured:
    """The median of some steps of `batch` edits of a `share` of an image of `size` pixels (height,
    width)."""
    seconds = []
    with edits(denoiser, batch, share, size) as several:
        for turn in range(WARM_UP + REPEATS):
            begin = time.perf_counter()
            denoiser.step(several)
            if turn >= WARM_UP:
                seconds.append(time.perf_counter() - begin)
        return Measured(
            batch, several[0].size.tokens, several[0].size.reference, statistics.median(seconds)
        )


@contextlib.contextmanager
def edits(denoiser: Denoiser, batch: int, share: float, size: Size) -> Iterator[list[EditState]]:
    several = list(_edits(denoiser, batch, share, size))
    try:
        yield several
    finally:
        for edit in several:
            denoiser.end(edit)


def show(lane: str, found: Cost, measured: list[Measured], workers: int) -> None:
    table = Table(
        title=f"milliseconds of a step, {lane}",
        caption=(
            f"a step {found.step * 1e3:.2f} ms, and for each edit {found.edit * 1e3:.2f} ms, each token "
            f"{found.token * 1e6:.1f} µs, each pair of tokens that attend {found.pair * 1e9:.1f} ns;\n"
            f"{found.kept / 1e3:.1f} kB kept for each reference token, {found.held / 1e3:.1f} kB held for each token in a step; "
            f"{workers} side by side take {found.beside:.2f} times as long"
        ),
    )
    for column in (
        "edits",
        "target tokens",
        "reference tokens",
        "measured",
        "by the model",
        "one by one",
    ):
        table.add_column(column, justify="right")
    for each in measured:
        point = each.batch, each.tokens, each.reference
        alone = each.batch * found.seconds(1, each.tokens, each.reference)
        table.add_row(
            *map(str, point),
            *(f"{value * 1e3:.2f}" for value in (each.seconds, found.seconds(*point), alone)),
        )
    console.print(table)


def _edits(denoiser: Denoiser, batch: int, share: float, size: Size) -> Iterator[EditState]:
    """Edits of noise, in more steps than are taken; with a negative instruction where a family's
    edits usually have one."""
    rng = np.random.default_rng(0)
    family = denoiser.family
    shape, told = family.shapes(size, family.text_tokens[1])
    for seed in range(batch):
        latents = rng.standard_normal(shape, np.float32)
        said = {name: rng.standard_normal(each, np.float32) for name, each in told.items()}
        cells = len(family.pack(latents))
        region = rng.permutation(cells) < max(1, round(share * cells))
        yield denoiser.begin(
            DenoiseRequest(
                latents,
                said,
                region,
                seed,
                steps=WARM_UP + REPEATS + 1,
                true_cfg=family.true_cfg,
                negative=said if family.true_cfg > 1 else None,
            )
        )

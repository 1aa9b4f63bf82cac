"""`retouch calibrate`: what a step costs here, measured over batch, target and reference tokens, kept for the
scheduler."""

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

from clients.footprint import footprint
from clients.show import console
from retouch import cost
from retouch.cost import Cost, Measured
from retouch.denoiser import Denoiser
from retouch.denoising import Denoising, Wanted
from retouch.runners import runner_of
from retouch.types import BUCKETS, CELL

BATCHES, SHARES = (1, 2, 4, 8), (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)
REPEATS, WARM_UP = 7, 2


def calibrate(repository: Path, lane: str, runner: str = "onnx") -> Path:
    """Measure the lane's steps and write its cost model; ArtifactError when the lane is not exported."""
    folder = repository / f"denoiser_{lane}" / "1"
    denoiser = Denoiser(folder, runner_of(runner))
    kept, held = sizes(denoiser)  # first: a runtime keeps the memory that it once took
    points = [(batch, share, size) for size in BUCKETS[:2] for share in SHARES for batch in BATCHES]
    measured = [measure(denoiser, *point) for point in track(points, f"measuring {lane}", console=console, transient=True)]
    found = replace(cost.fit(measured), kept=kept, held=held, beside=beside(denoiser))
    show(lane, found, measured, denoiser.workers)
    return cost.save(found, measured, f"{platform.processor() or platform.machine()}, {runner}", folder)


def sizes(denoiser: Denoiser) -> tuple[float, float]:
    """Bytes that an edit keeps for each reference token, and that a step holds for each token of either kind."""
    with edits(denoiser, BATCHES[-1], 1, BUCKETS[0]) as several:
        for edit in several:  # their references are not the step's
            denoiser.look(edit.wanted.latents)
        held = footprint(lambda: denoiser.step(several))
        size, tokens = several[0].size, BATCHES[-1] * (several[0].size.tokens + several[0].size.reference)
        return several[0].nbytes / size.reference, held / tokens or Cost().held


def beside(denoiser: Denoiser) -> float:
    """How many times longer a step takes when all workers step."""
    def spent(workers: int) -> float:
        with ThreadPoolExecutor(workers) as threads:
            return statistics.median(threads.map(lambda _: measure(denoiser, 1, 1, BUCKETS[0]).seconds, range(workers)))

    return statistics.median(spent(denoiser.workers) / spent(1) for _ in range(REPEATS)) if denoiser.workers > 1 else 1.0


def measure(denoiser: Denoiser, batch: int, share: float, size: tuple[int, int]) -> Measured:
    """The median of some steps of `batch` edits of a `share` of an image of `size` pixels (height, width)."""
    seconds = []
    with edits(denoiser, batch, share, size) as several:
        for turn in range(WARM_UP + REPEATS):
            begin = time.perf_counter()
            denoiser.step(several)
            if turn >= WARM_UP:
                seconds.append(time.perf_counter() - begin)
        return Measured(batch, several[0].size.tokens, several[0].size.reference, statistics.median(seconds))


@contextlib.contextmanager
def edits(denoiser: Denoiser, batch: int, share: float, size: tuple[int, int]) -> Iterator[list[Denoising]]:
    several = list(_edits(denoiser, batch, share, size))
    try:
        yield several
    finally:
        for edit in several:
            denoiser.end(edit)


def show(lane: str, found: Cost, measured: list[Measured], workers: int) -> None:
    table = Table(title=f"milliseconds of a step, {lane}", caption=(
        f"a step {found.step * 1e3:.2f} ms, and for each edit {found.edit * 1e3:.2f} ms, each token "
        f"{found.token * 1e6:.1f} µs, each pair of tokens that attend {found.pair * 1e9:.1f} ns;\n"
        f"{found.kept / 1e3:.1f} kB kept for each reference token, {found.held / 1e3:.1f} kB held for each token in a step; "
        f"{workers} side by side take {found.beside:.2f} times as long"))
    for column in ("edits", "target tokens", "reference tokens", "measured", "by the model", "one by one"):
        table.add_column(column, justify="right")
    for each in measured:
        point = each.batch, each.tokens, each.reference
        alone = each.batch * found.seconds(1, each.tokens, each.reference)
        table.add_row(*map(str, point), *(f"{value * 1e3:.2f}" for value in (each.seconds, found.seconds(*point), alone)))
    console.print(table)


def _edits(denoiser: Denoiser, batch: int, share: float, size: tuple[int, int]) -> Iterator[Denoising]:
    """Edits of noise, in more steps than are taken."""
    rng, (rows, columns) = np.random.default_rng(0), (size[0] // CELL, size[1] // CELL)
    patch, cells = denoiser.settings["patch"], rows * columns
    channels, conditioning = (denoiser.settings[name] for name in ("latent_channels", "conditioning"))
    for seed in range(batch):
        latents = rng.standard_normal((channels, rows * patch, columns * patch), np.float32)
        region = rng.permutation(cells) < max(1, round(share * cells))
        said = {"conditioning": rng.standard_normal(conditioning, np.float32),
                "boxes": np.zeros((denoiser.settings["slots"], 2, 4), np.float32)}
        yield denoiser.begin(Wanted(latents, said, region, seed, steps=WARM_UP + REPEATS + 1))

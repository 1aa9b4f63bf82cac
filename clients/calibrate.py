"""`retouch calibrate`: what a step costs here, measured over batch, target and reference tokens, kept for the
scheduler."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.progress import track
from rich.table import Table

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
    points = [(batch, share, size) for size in BUCKETS[:2] for share in SHARES for batch in BATCHES]
    measured = [measure(denoiser, *point) for point in track(points, f"measuring {lane}", console=console, transient=True)]
    found = cost.fit(measured)
    show(lane, found, measured)
    return cost.save(found, measured, f"{platform.processor() or platform.machine()}, {runner}", folder)


def measure(denoiser: Denoiser, batch: int, share: float, size: tuple[int, int]) -> Measured:
    """The median of some steps of `batch` edits of a `share` of an image of `size` pixels (height, width)."""
    edits = list(_edits(denoiser, batch, share, size))
    seconds = []
    try:
        for turn in range(WARM_UP + REPEATS):
            begin = time.perf_counter()
            denoiser.step(edits)
            if turn >= WARM_UP:
                seconds.append(time.perf_counter() - begin)
        return Measured(batch, edits[0].size.tokens, edits[0].size.reference, statistics.median(seconds))
    finally:
        for edit in edits:
            denoiser.end(edit)


def show(lane: str, found: Cost, measured: list[Measured]) -> None:
    table = Table(title=f"milliseconds of a step, {lane}", caption=(
        f"a step {found.step * 1e3:.2f} ms, and for each edit {found.edit * 1e3:.2f} ms, each token "
        f"{found.token * 1e6:.1f} µs, each pair of tokens that attend {found.pair * 1e9:.1f} ns"))
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

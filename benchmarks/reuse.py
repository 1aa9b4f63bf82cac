"""Cost and saving of a step cache: denoising time with and without it, and the quality of both."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.held_out_edits import Prepared, local, prepare
from benchmarks.interleave import in_turns
from benchmarks.table import FASTER, Row
from retouch.engine.denoiser import Denoiser
from retouch.imaging import images
from retouch.offline.plain_loop import PlainLoop
from training.judge import judge
from training.likeness import Likeness, likeness, psnr
from training.render import render

STEPS = (12, 28)
THRESHOLDS = (0.02, 0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Outcome:
    """One way of doing all scenes: steps that the network ran for, of each edit, its pictures, and
    how many succeed."""

    ran: float
    pictures: list[np.ndarray]
    succeeded: int


def reuse_rows(loop: PlainLoop, folder: Path, count: int, judged: int) -> list[Row]:
    """Local edits in the parser's region; times are medians over `count` turns, pictures are of
    `judged` scenes."""
    scenes = prepare(loop, local, judged)
    denoiser = Denoiser(folder)
    for scene in scenes:
        denoiser.prefill(scene.latents)
    rows = []
    for steps in STEPS:
        exact = _outcome(loop, denoiser, scenes, steps, 0.0)
        for threshold in THRESHOLDS:
            near = _outcome(loop, denoiser, scenes, steps, threshold)
            spent = in_turns(
                {
                    name: lambda turn, at=at: list(
                        denoiser.run(_wanted(scenes[turn % judged], turn, steps, at))
                    )
                    for name, at in (("near", threshold), ("exact", 0.0))
                },
                count,
            )
            alike = [likeness(*pair, lambda *_: 0.0) for pair in zip(near.pictures, exact.pictures)]
            rows.append(
                Row(
                    f"{steps} steps, threshold {threshold:g}: {near.ran:.1f} run",
                    "every step runs",
                    statistics.median(spent["near"]),
                    statistics.median(spent["exact"]),
                    "ms",
                    FASTER,
                    1.0,
                    _quality(near, exact, alike),
                )
            )
    return rows


def _outcome(
    loop: PlainLoop, denoiser: Denoiser, scenes: Sequence[Prepared], steps: int, threshold: float
) -> Outcome:
    ran = 0
    pictures = []
    succeeded = 0
    for seed, scene in enumerate(scenes):
        done = list(denoiser.run(_wanted(scene, seed, steps, threshold)))
        ran += sum(not progress.reused for progress in done)
        edited = loop.decoder.run(done[-1].latents[None])[0]
        mask = images.mask_of_cells(scene.parsed.region, edited.shape[:2], *edited.shape[:2])
        pictures.append(images.paste_back(scene.source.pixels, edited, mask))
        succeeded += judge(scene.source, render(scene.pair.target), pictures[-1]).success
    return Outcome(ran / len(scenes), pictures, succeeded)


def _wanted(scene: Prepared, seed: int, steps: int, threshold: float):
    return replace(scene.denoise_request(False, seed, steps), step_cache=threshold)


def _quality(near: Outcome, exact: Outcome, alike: list[Likeness]) -> str:
    worst = min(psnr([likeness]) for likeness in alike)
    shares = [f"{outcome.succeeded / len(alike):.1%}" for outcome in (near, exact)]
    return (
        f"success {shares[0]}, exact {shares[1]} ({len(alike)} scenes); PSNR to exact "
        f"{psnr(alike):.1f} dB, worst {worst:.1f}"
    )

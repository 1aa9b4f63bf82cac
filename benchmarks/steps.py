"""Denoising alone: time saved by the reference cache and by the region, and the quality of both."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.baselines import Recomputing
from benchmarks.held_out_edits import SIZE, Prepared, fifteen, local, prepare
from benchmarks.interleave import in_turns, medians
from benchmarks.table import FASTER, Row
from retouch.api.request import EditRequest
from retouch.engine.denoiser import Denoiser
from retouch.families.denoise_request import DenoiseRequest
from retouch.imaging import images
from retouch.offline.plain_loop import PlainLoop
from training.judge import judge
from training.render import render

STEPS = (3, 12, 28)  # the checkpoint's default, and what users of larger ones take


def reference_rows(loop: PlainLoop, folder: Path, count: int) -> list[Row]:
    """Full-frame edits of different scenes: reference cached for the edit, cached before, or never
    cached."""
    scenes = prepare(loop, local, count)
    keeps = {
        "kept": Denoiser(folder),
        "first": Denoiser(folder, reference_bytes=0),
        "never": Recomputing(folder),
    }
    for scene in scenes:
        keeps["kept"].prefill(scene.latents)
    rows = []
    bound = _bound(keeps, scenes[0])
    for steps in STEPS:

        def way(denoiser: Denoiser):
            return lambda turn: _latents(
                denoiser, scenes[turn % count].denoise_request(whole=True, seed=turn, steps=steps)
            )

        ways = {name: way(denoiser) for name, denoiser in keeps.items()}
        _same([way(0) for way in ways.values()])
        spent = medians(in_turns(ways, count))
        for name, title in (("first", "first edit of an image"), ("kept", "later edit of it")):
            rows.append(
                Row(
                    f"full frame, {steps} steps, {title}",
                    "reference at every step",
                    spent[name],
                    spent["never"],
                    "ms",
                    FASTER,
                    1.8,
                    "same latents",
                    bound,
                )
            )
    return rows


def region_rows(loop: PlainLoop, folder: Path, count: int, judged: int) -> list[Row]:
    """Edits of about 15 % of the image and full-frame edits of the same scene; the success of
    both."""
    scenes = prepare(loop, fifteen, count)
    denoiser = Denoiser(folder)
    quality = success(loop, judged)
    for scene in scenes:
        denoiser.prefill(scene.latents)
    rows = []
    for steps in STEPS:

        def way(whole: bool):
            return lambda turn: _latents(
                denoiser, scenes[turn % len(scenes)].denoise_request(whole, turn, steps)
            )

        spent = medians(in_turns({"region": way(False), "full": way(True)}, count))
        alone = {
            name: _step(denoiser, scenes[0].denoise_request(name == "full"))
            for name in ("region", "full")
        }
        bound = (
            f"a step takes {alone['region']:.2f} ms for {scenes[0].parsed.region.sum()} cells and "
            f"{alone['full']:.2f} ms for {scenes[0].parsed.region.size}, and no edit can gain more"
        )
        rows.append(
            Row(
                f"15 % of the image, {steps} steps",
                "full frame",
                spent["region"],
                spent["full"],
                "ms",
                FASTER,
                2.5,
                quality,
                bound,
            )
        )
    return rows


def success(loop: PlainLoop, judged: int) -> str:
    """A sentence on the success of local edits in the region and of full-frame edits. Exits when a
    pixel outside of a region differs from the source."""
    scenes = prepare(loop, local, judged)
    succeeded = {b"auto": 0, b"full": 0}
    for seed, scene in enumerate(scenes):
        target = render(scene.pair.target)
        encoded = images.encode(scene.source.pixels)
        for region in succeeded:
            answer = images.decode(
                loop.edit(EditRequest(encoded, scene.pair.instruction, seed=seed, region=region))
            )
            succeeded[region] += judge(scene.source, target, answer).success
            if region == b"auto":
                outside = ~images.mask_of_cells(scene.parsed.region, SIZE, *answer.shape[:2])
                if not np.array_equal(answer[outside], scene.source.pixels[outside]):
                    sys.exit(f"scene {seed}: pixels outside of the region are not the source's")
    shares = [f"{count / len(scenes):.1%}" for count in succeeded.values()]
    return (
        f"success {shares[0]}, full frame {shares[1]} ({len(scenes)} scenes); outside bit for bit"
    )


def _latents(denoiser: Denoiser, request: DenoiseRequest) -> np.ndarray:
    *_, last = denoiser.run(request)
    return last.latents


def _same(results: list[np.ndarray]) -> None:
    if not all(np.array_equal(result, results[0]) for result in results):
        sys.exit("the ways do not give the same latents")


def _step(denoiser: Denoiser, request: DenoiseRequest) -> float:
    """Milliseconds of one step."""
    edit = denoiser.begin(replace(request, steps=50))
    try:
        return medians(in_turns({"step": lambda turn: denoiser.step([edit])}, 20))["step"]
    finally:
        denoiser.end(edit)


def _bound(keeps: dict[str, Denoiser], scene: Prepared) -> str:
    see = medians(in_turns({"see": lambda turn: keeps["first"].prefill(scene.latents)}, 20))["see"]
    step = _step(keeps["kept"], scene.denoise_request(whole=True))
    return (
        f"the reference pass takes {see:.2f} ms and a full-frame step {step:.2f} ms, so many steps "
        f"can gain {1 + see / step:.2f} at most"
    )

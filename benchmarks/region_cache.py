"""Gain and error of steps on a region alone, over the keys and values of all other tokens.

    python -m benchmarks.region_cache [--side 256] [--steps 12] [--turns 5] [--json PATH]

The denoiser of FLUX.2 klein in torch and float32, with a small transformer of random weights: times
are the processor's, of its shape, in turns. The PSNR is that of the region's latents to the run in
which every step is whole, with their range as the peak; of pictures by trained weights it says
nothing."""

from __future__ import annotations

import argparse
import math
import statistics
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel

from benchmarks.table import FASTER, Row, save, show
from retouch.api.geometry import CELL
from retouch.backends.base import joined
from retouch.diffusion.preview import PreviewMap
from retouch.engine.denoiser import Denoiser
from retouch.families.denoise_request import DenoiseRequest
from retouch.networks.flux2_full import Step

SHARES = (0.05, 0.15, 0.5)  # of the image
INTERVALS = (1, 2, 4)
TEXT = 64  # tokens of an instruction
NETWORK = {
    "num_layers": 2,
    "num_single_layers": 4,
    "num_attention_heads": 4,
    "attention_head_dim": 64,
    "in_channels": 64,
    "joint_attention_dim": 128,
    "axes_dims_rope": (16, 16, 16, 16),
    "guidance_embeds": False,
}
SETTINGS = {
    "scheduler": {"use_dynamic_shifting": True},
    "is_distilled": True,
    "default_steps": 4,
    "latent_channels": NETWORK["in_channels"],
    "conditioning": [TEXT, NETWORK["joint_attention_dim"]],
    "attention": [
        NETWORK["num_layers"] + NETWORK["num_single_layers"],
        NETWORK["num_attention_heads"],
        NETWORK["attention_head_dim"],
    ],
}


class TorchStep:
    """A runner: the module that is exported as `step`."""

    workers = 1
    batches = False
    compiles = False
    manifest: Any = SimpleNamespace(family="flux2-klein", settings=SETTINGS)

    def __init__(self, module: Step, folder: Path, graph: str, keep: tuple[str, ...] = ()):
        self._module = module

    @torch.no_grad()
    def run(self, **inputs: np.ndarray | list[np.ndarray]) -> dict[str, np.ndarray]:
        tensors = {name: torch.from_numpy(joined(value)) for name, value in inputs.items()}
        outputs = self._module(**tensors)
        return {name: value.numpy() for name, value in zip(Step.outputs, outputs)}


@dataclass(frozen=True)
class Work:
    """An edit of a square image of `side` pixels in `steps` steps."""

    side: int
    steps: int

    def request(self, share: float, seed: int) -> DenoiseRequest:
        """Of noise, in a square region of about a `share` of the image."""
        cells = self.side // CELL
        rng = np.random.default_rng(seed)
        region = np.zeros((cells, cells), bool)
        edge = max(1, round(math.sqrt(share) * cells))
        region[:edge, :edge] = True
        channels = NETWORK["in_channels"]
        embeds = rng.standard_normal((TEXT, NETWORK["joint_attention_dim"]), np.float32)
        latents = rng.standard_normal((channels, cells, cells), np.float32)
        conditioning = {"prompt_embeds": embeds}
        return DenoiseRequest(latents, conditioning, region.ravel(), seed, self.steps)


def make_denoiser() -> Denoiser:
    torch.manual_seed(0)
    module = Step(Flux2Transformer2DModel(**NETWORK).eval().requires_grad_(False))
    no_map = PreviewMap(np.zeros(1), np.zeros(1))  # no preview is due
    with patch.object(PreviewMap, "load", return_value=no_map):
        return Denoiser(Path(), partial(TorchStep, module))


def rows(denoiser: Denoiser, work: Work, turns: int) -> list[Row]:
    made = []
    for share in SHARES:
        spent: dict[int, list[float]] = {interval: [] for interval in (0, *INTERVALS)}
        tokens: dict[int, list[np.ndarray]] = {interval: [] for interval in spent}
        for seed in range(turns):
            for interval in spent:
                begin = time.process_time()
                tokens[interval].append(_run(denoiser, work, share, interval, seed))
                spent[interval].append(1000 * (time.process_time() - begin))
        for interval in INTERVALS:
            errors = list(map(_psnr, tokens[interval], tokens[0]))
            made.append(
                Row(
                    f"region of {share:.0%}, {interval} on it after a whole step",
                    "every step is whole",
                    statistics.median(spent[interval]),
                    statistics.median(spent[0]),
                    "ms",
                    FASTER,
                    1.0,
                    f"PSNR of latents {statistics.fmean(errors):.1f} dB, worst {min(errors):.1f}",
                )
            )
    return made


def _run(denoiser: Denoiser, work: Work, share: float, interval: int, seed: int) -> np.ndarray:
    """The region's tokens after the last step."""
    request = replace(work.request(share, seed), region_cache=interval)
    *_, last = denoiser.run(request)
    return denoiser.family.pack(last.result)[request.region]


def _psnr(near: np.ndarray, exact: np.ndarray) -> float:
    error = float(np.square(near - exact).mean())
    return 10 * math.log10(float(np.ptp(exact)) ** 2 / error)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.region_cache")
    parser.add_argument("--side", type=int, default=256, help="pixels, a multiple of 16")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args(arguments)
    work = Work(options.side, options.steps)
    made = rows(make_denoiser(), work, options.turns)
    show(f"FLUX.2 klein's denoiser, {options.side} px, {options.steps} steps", made)
    save(made, options.json)


if __name__ == "__main__":
    main()

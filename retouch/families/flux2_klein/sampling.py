"""FLUX.2 klein (`Flux2KleinPipeline`): reference tokens in full attention with the others. A
distilled checkpoint takes few steps and no guidance, a base one classifier-free guidance.

Latents are the autoencoder's in patches of two by two, normalised by the statistics of its batch
norm. Each patch is a token. The pipeline crops an image to whole tokens; here it is scaled to
`size`. Time steps stay in float32, which a pipeline in bfloat16 rounds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from retouch.api.geometry import CELL
from retouch.diffusion.latents import REFERENCE_TIME, grid_ids, target_ids
from retouch.diffusion.sigmas import Schedule
from retouch.families import base
from retouch.families.denoise_request import Arrays, DenoiseRequest, Size

SIDE = 1024
MIDDLE = (512, 512)
LARGEST = SIDE * SIDE  # pixels
THOUSAND = np.float32(1000)


class Family(base.Family):
    """The conditioning is `prompt_embeds` [T, J]. The reference tokens are those of the source and,
    after it, of `extra_references`, each with a size of its own. The target is as large as the
    source."""

    max_references = 3
    patch = 1
    # from a single token to the middle, and from there to the largest
    size_ranges = (MIDDLE, (SIDE, SIDE), (SIDE, SIDE)), ((CELL, CELL), MIDDLE, MIDDLE)

    def __init__(self, settings: dict[str, Any]):
        self.schedule = Schedule.of(settings["scheduler"])
        self.supports_negative = not settings.get("is_distilled", False)
        self.negative = "" if self.supports_negative else None
        self._settings = settings
        self.supports_region_cache = "attention" in settings
        # keys and values in float32, the widest that a runner keeps
        self.kept_bytes_per_token = 8 * math.prod(settings.get("attention", (0,)))

    @property
    def text_tokens(self) -> tuple[int, int, int]:
        return (self._settings["conditioning"][0],) * 3

    def shapes(self, size: Size, text_tokens: int) -> tuple[base.Shape, dict[str, base.Shape]]:
        latents = self._settings["latent_channels"], *(side // CELL for side in size)
        return latents, {"prompt_embeds": (text_tokens, self._settings["conditioning"][1])}

    def size(self, height: int, width: int) -> Size:
        if height * width > LARGEST:
            scale = math.sqrt(LARGEST / (width * height))
            height = int(height * scale)
            width = int(width * scale)
        return max(height // CELL, 1) * CELL, max(width // CELL, 1) * CELL

    def sigmas(self, steps: int, cells: int) -> np.ndarray:
        return self.schedule.sigmas(steps, empirical_mu(cells, steps))

    def constant_inputs(
        self, request: DenoiseRequest, conditioning: Arrays, cells: np.ndarray
    ) -> Arrays:
        prompt_embeds = conditioning["prompt_embeds"]
        images = request.latents, *request.extra_references
        grids = [self.grid(image) for image in images]
        ids = np.concatenate([target_ids(grids[0])[cells], reference_ids(grids)])
        return {
            "references": np.concatenate([self.pack(image) for image in images])[None],
            "conditioning": prompt_embeds[None],
            "ids": ids[None],
            "conditioning_ids": text_ids(len(prompt_embeds))[None],
        }

    def whole_inputs(self, kept: np.ndarray | None = None) -> Arrays:
        if not self.supports_region_cache:
            return {}
        layers, heads, size = self._settings["attention"]
        nothing = np.zeros((1, layers, 0, heads, size), np.float32)
        places = np.zeros(0, np.int64) if kept is None else kept.astype(np.int64)
        return {"past_k": nothing, "past_v": nothing, "kept": places[None]}

    def region_inputs(
        self, request: DenoiseRequest, conditioning: Arrays, cells: np.ndarray
    ) -> Arrays:
        whole = self.constant_inputs(request, conditioning, cells)
        return whole | {
            "references": whole["references"][:, :0],
            "ids": whole["ids"][:, : len(cells)],
            "kept": np.zeros((1, 0), np.int64),
        }

    def step_inputs(self, request: DenoiseRequest, tokens: np.ndarray, sigma: np.float32) -> Arrays:
        timestep = sigma * THOUSAND / THOUSAND  # not always sigma, to the bit
        return {"tokens": tokens[None], "timestep": np.array([timestep])}


def reference_ids(grids: Sequence[tuple[int, int]]) -> np.ndarray:
    """Position ids (t, h, w, l) of the references' tokens, float32 [R, 4]: t tells the images
    apart."""
    return np.concatenate(
        [grid_ids(grid, REFERENCE_TIME * place) for place, grid in enumerate(grids, start=1)]
    )


def text_ids(text_tokens: int) -> np.ndarray:
    """Position ids (t, h, w, l) of a text, float32 [text_tokens, 4]: l counts."""
    ids = np.zeros((text_tokens, 4), np.float32)
    ids[:, 3] = np.arange(text_tokens)
    return ids


def empirical_mu(cells: int, steps: int) -> float:
    """The exponent of the schedule's shift for a target of `cells` tokens: FLUX.2's fit,
    `compute_empirical_mu` of diffusers.

    It is linear in the tokens at 200 steps and at 10, and linear in the steps otherwise."""
    at_200 = 0.00016927 * cells + 0.45666666
    if cells > 4300:
        return at_200
    at_10 = 8.73809524e-05 * cells + 1.89833333
    slope = (at_200 - at_10) / 190.0
    return slope * steps + (at_200 - 200.0 * slope)

"""InstructX's diffusion transformer: the parser's meta-queries for conditioning. Reference tokens
attend to themselves alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from retouch.api.geometry import BUCKETS, CELL, KEEP_BELOW
from retouch.diffusion.beside import beside, channel_counts
from retouch.diffusion.latents import conditioning_ids, noise, reference_ids, target_ids
from retouch.diffusion.sigmas import Schedule
from retouch.families import base
from retouch.families.denoise_request import Arrays, DenoiseRequest, Size
from retouch.imaging.images import bucket


class Family(base.Family):
    """The conditioning is `prompt_embeds` [Q, J], the connector's, and the parser's `boxes` [S, 2,
    4] that they refer to.

    A noisy token comes with as many channels beside it as the network takes
    (`retouch.diffusion.beside`). There is no guidance."""

    has_parser = True
    caches_reference = True
    supports_regions = True
    supports_negative = False

    def __init__(self, settings: dict[str, Any]):
        self.patch = settings["patch"]
        self.schedule = Schedule(settings["shift"])
        self._settings = settings
        self.sizes = [tuple(size) for size in settings.get("sizes", BUCKETS)]
        self.keep_below = settings.get("keep_below", KEEP_BELOW)
        self.finest_detail = settings.get("finest_detail", 1)
        # a number of channels; true in artifacts whose network takes source and boxes alone
        self.beside = settings.get("beside", True)

    @property
    def size_ranges(self) -> list[base.SizeRange]:
        """One for each number of cells, which sizes may share."""
        areas = {height * width: (height, width) for height, width in reversed(self.sizes)}
        sizes = (areas[area] for area in sorted(areas, reverse=True))
        return [(size, size, size) for size in sizes]

    @property
    def text_tokens(self) -> tuple[int, int, int]:
        return (self._settings["conditioning"][0],) * 3

    def shapes(self, size: Size, text_tokens: int) -> tuple[base.Shape, dict[str, base.Shape]]:
        latents = self._settings["latent_channels"], *(side // CELL * self.patch for side in size)
        return latents, {
            "prompt_embeds": (text_tokens, self._settings["conditioning"][1]),
            "boxes": (self._settings["slots"], 2, 4),
        }

    def size(self, height: int, width: int) -> Size:
        return bucket(height, width, self.sizes)

    def noise(self, seed: int, latents: np.ndarray) -> np.ndarray:
        rows, columns = self.grid(latents)
        return noise(seed, rows * columns, len(latents) * self.patch**2)

    def sigmas(self, steps: int, cells: int) -> np.ndarray:
        return self.schedule.sigmas(steps)

    def reference_inputs(self, images: Sequence[np.ndarray], conditioning: Arrays) -> Arrays:
        (latents,) = images
        return {"tokens": self.pack(latents)[None], "ids": reference_ids(self.grid(latents))[None]}

    def constant_inputs(
        self, request: DenoiseRequest, conditioning: Arrays, cells: np.ndarray
    ) -> Arrays:
        grid = self.grid(request.latents)
        prompt_embeds = conditioning["prompt_embeds"]
        boxes = conditioning["boxes"][None]
        ids = target_ids(grid)[cells][None]
        inputs = {
            "conditioning": prompt_embeds[None],
            "ids": ids,
            "conditioning_ids": conditioning_ids(boxes, grid, len(prompt_embeds) // boxes.shape[1]),
        }
        if self.beside:
            source = self.pack(request.latents)[cells][None]
            boxed = channel_counts(source.shape[-1], boxes.shape[1], 0)[1]
            channels = boxed if self.beside is True else self.beside
            inputs["beside"] = beside(channels, source, boxes, ids, grid, prompt_embeds[None])
        return inputs

    def step_inputs(self, request: DenoiseRequest, tokens: np.ndarray, sigma: np.float32) -> Arrays:
        return {"tokens": tokens[None], "timestep": np.array([sigma])}

"""InstructX's diffusion transformer: the parser's meta-queries for conditioning, and reference
tokens that attend to themselves alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from retouch.api.request import BUCKETS, CELL, KEEP_BELOW
from retouch.diffusion.box_features import layout
from retouch.diffusion.latents import conditioning_ids, noise, reference_ids, target_ids
from retouch.diffusion.sigmas import Schedule
from retouch.families.defaults import Defaults
from retouch.families.denoise_request import Arrays, DenoiseRequest, Size
from retouch.imaging.images import bucket


class InstructX(Defaults):
    """Its conditioning are `conditioning` [Q, J] and the parser's `boxes` [S, 2, 4], which say
    where that stands. Beside its noise every token has the source's and the layout, where the
    network has channels for them. There is no guidance."""

    keeps = partial = True
    negatives = False
    keep_below = KEEP_BELOW

    def __init__(self, settings: dict[str, Any]):
        self.patch = settings["patch"]
        self.schedule = Schedule(settings["shift"])
        self._settings = settings
        self.sizes = [tuple(size) for size in settings.get("sizes", BUCKETS)]
        self.beside = settings.get("beside", True)

    @property
    def spans(self) -> list[tuple[Size, Size, Size]]:
        """One for each number of cells: sizes that have as many as one another share it."""
        areas = {height * width: (height, width) for height, width in reversed(self.sizes)}
        return [(areas[area],) * 3 for area in sorted(areas, reverse=True)]

    @property
    def words(self) -> tuple[int, int, int]:
        return (self._settings["conditioning"][0],) * 3

    def shapes(self, size: Size, words: int) -> tuple[tuple[int, ...], dict[str, tuple[int, ...]]]:
        latents = self._settings["latent_channels"], *(side // CELL * self.patch for side in size)
        told = words, self._settings["conditioning"][1]
        return latents, {"conditioning": told, "boxes": (self._settings["slots"], 2, 4)}

    def size(self, height: int, width: int) -> tuple[int, int]:
        return bucket(height, width, self.sizes)

    def noise(self, seed: int, latents: np.ndarray) -> np.ndarray:
        rows, columns = self.grid(latents)
        return noise(seed, rows * columns, len(latents) * self.patch**2)

    def sigmas(self, steps: int, cells: int) -> np.ndarray:
        return self.schedule.sigmas(steps)

    def reference(self, latents: np.ndarray) -> Arrays:
        return {"tokens": self.pack(latents)[None], "ids": reference_ids(self.grid(latents))[None]}

    def fixed(self, wanted: DenoiseRequest, conditioning: Arrays, cells: np.ndarray) -> Arrays:
        grid = self.grid(wanted.latents)
        said = conditioning["conditioning"]
        boxes = conditioning["boxes"][None]
        ids = target_ids(grid)[cells][None]
        given = {
            "conditioning": said[None],
            "ids": ids,
            "conditioning_ids": conditioning_ids(boxes, grid, len(said) // boxes.shape[1]),
        }
        if not self.beside:
            return given
        source = self.pack(wanted.latents)[cells][None]
        return given | {"beside": np.concatenate([source, layout(boxes, ids, grid)], -1)}

    def varying(self, wanted: DenoiseRequest, tokens: np.ndarray, sigma: np.float32) -> Arrays:
        return {"tokens": tokens[None], "timestep": sigma[None]}

"""FLUX.2 klein with kept references (`Flux2KleinKVPipeline`): few steps, no guidance, reference
tokens that attend to themselves alone.

Its latents are the autoencoder's in patches of two by two, normalised by its batch norm's
statistics, one token each. The pipeline crops an image to whole tokens; here `size` says what is
left, and the image is scaled to that. Time steps stay in float32 where a pipeline in bfloat16
rounds them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from retouch.api.request import CELL, MAX_REFERENCES
from retouch.diffusion.latents import REFERENCE_TIME, grid_ids, target_ids
from retouch.diffusion.noise import randn
from retouch.diffusion.sigmas import Schedule
from retouch.families.defaults import Defaults
from retouch.families.denoise_request import Arrays, DenoiseRequest, Size

SIDE = 1024
MIDDLE = (512, 512)
LARGEST = SIDE * SIDE  # pixels
THOUSAND = np.float32(1000)


class Flux2KleinKV(Defaults):
    """Its conditioning is the text encoder's `conditioning` [T, J]. That a step can take any of the
    target's tokens is what its graph can do; the network has not been trained on parts of an
    image."""

    keeps = partial = True
    negatives = False
    references = MAX_REFERENCES
    patch = 1
    # a single token up to the middle, and from there to the largest
    spans = (MIDDLE, (SIDE, SIDE), (SIDE, SIDE)), ((CELL, CELL), MIDDLE, MIDDLE)

    def __init__(self, settings: dict[str, Any]):
        """ValueError when the checkpoint's scheduler is none that is followed."""
        self.schedule = Schedule.of(settings["scheduler"])
        self._settings = settings

    @property
    def words(self) -> tuple[int, int, int]:
        return (self._settings["conditioning"][0],) * 3

    def shapes(self, size: Size, words: int) -> tuple[tuple[int, ...], dict[str, tuple[int, ...]]]:
        latents = self._settings["latent_channels"], *(side // CELL for side in size)
        return latents, {"conditioning": (words, self._settings["conditioning"][1])}

    def size(self, height: int, width: int) -> tuple[int, int]:
        if height * width > LARGEST:
            scale = math.sqrt(LARGEST / (width * height))
            height = int(height * scale)
            width = int(width * scale)
        return max(height // CELL, 1) * CELL, max(width // CELL, 1) * CELL

    def noise(self, seed: int, latents: np.ndarray) -> np.ndarray:
        return self.pack(randn(seed, latents.shape))

    def sigmas(self, steps: int, cells: int) -> np.ndarray:
        return self.schedule.sigmas(steps, empirical_mu(cells, steps))

    def reference(self, latents: np.ndarray, *more: np.ndarray) -> Arrays:
        """All images' tokens see one another; the time of their position ids tells them apart."""
        images = latents, *more
        ids = [
            grid_ids(self.grid(image), REFERENCE_TIME * place)
            for place, image in enumerate(images, start=1)
        ]
        return {
            "tokens": np.concatenate(list(map(self.pack, images)))[None],
            "ids": np.concatenate(ids)[None],
        }

    def fixed(self, wanted: DenoiseRequest, conditioning: Arrays, cells: np.ndarray) -> Arrays:
        said = conditioning["conditioning"]
        return {
            "conditioning": said[None],
            "ids": target_ids(self.grid(wanted.latents))[cells][None],
            "conditioning_ids": text_ids(len(said))[None],
        }

    def varying(self, wanted: DenoiseRequest, tokens: np.ndarray, sigma: np.float32) -> Arrays:
        return {
            "tokens": tokens[None],
            "timestep": (sigma * THOUSAND / THOUSAND)[None],
        }  # not always sigma, to the bit


def text_ids(words: int) -> np.ndarray:
    """Position ids (t, h, w, l) of a text, float32 [words, 4]: l counts."""
    ids = np.zeros((words, 4), np.float32)
    ids[:, 3] = np.arange(words)
    return ids


def empirical_mu(cells: int, steps: int) -> float:
    """The exponent of the schedule's shift for a target of so many tokens: FLUX.2's fit,
    `compute_empirical_mu` of diffusers. A line in the tokens at 200 steps and one at 10; between
    them, and beyond, a line in the steps."""
    at_200 = 0.00016927 * cells + 0.45666666
    if cells > 4300:
        return at_200
    at_10 = 8.73809524e-05 * cells + 1.89833333
    slope = (at_200 - at_10) / 190.0
    return slope * steps + (at_200 - 200.0 * slope)

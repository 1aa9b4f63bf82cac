"""FLUX.1 Kontext's diffusion transformer: CLIP and T5 for conditioning, the reference in full
attention with the rest."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from retouch.diffusion.latents import grid_ids
from retouch.diffusion.noise import randn
from retouch.diffusion.sigmas import Schedule
from retouch.families.defaults import Defaults
from retouch.families.denoise_request import Arrays, DenoiseRequest, Size

TARGET = 0
REFERENCE = 1  # first position ids
# (height, width) in pixels that the network was trained at: diffusers'
# PREFERRED_KONTEXT_RESOLUTIONS
SIZES = (
    (1568, 672),
    (1504, 688),
    (1456, 720),
    (1392, 752),
    (1328, 800),
    (1248, 832),
    (1184, 880),
    (1104, 944),
    (1024, 1024),
    (944, 1104),
    (880, 1184),
    (832, 1248),
    (800, 1328),
    (752, 1392),
    (720, 1456),
    (688, 1504),
    (672, 1568),
)
SQUARE = 1024, 1024


class Kontext(Defaults):
    """Its conditioning are `conditioning` [T, J] and `pooled` [P], as
    `retouch.families.flux_kontext.text` reads them. Guidance is distilled: a number that the
    network is told; a negative instruction adds the true one. The target is as large as the
    source."""

    def __init__(self, settings: dict[str, Any]):
        """ValueError for a scheduler that is not known here."""
        self.schedule = Schedule.of(settings["scheduler"])
        self.cell = settings["cell"]
        self.sizes = settings.get("sizes", SIZES)
        self._settings = settings
        self.guidance = settings["default_guidance"] if settings["guidance_embeds"] else None

    @property
    def spans(self) -> list[tuple[Size, Size, Size]]:
        sizes = sorted((self.size(*size) for size in self.sizes), key=math.prod)
        return [(sizes[0], self.size(*SQUARE), sizes[-1])]

    @property
    def words(self) -> tuple[int, int, int]:
        return (self._settings["words"],) * 3

    def shapes(self, size: Size, words: int) -> tuple[tuple[int, ...], dict[str, tuple[int, ...]]]:
        latents = (
            self._settings["latent_channels"],
            *(side // self.cell * self.patch for side in size),
        )
        network = self._settings["transformer"]
        return latents, {
            "conditioning": (words, network["joint_attention_dim"]),
            "pooled": (network["pooled_projection_dim"],),
        }

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Of its sizes, which are `SIZES` where the settings have no others, the one whose aspect
        ratio is nearest to that of whole cells of the image."""
        aspect = (width - width % self.cell) / (height - height % self.cell)
        _, columns, rows = min(
            (abs(aspect - columns / rows), columns, rows) for rows, columns in self.sizes
        )
        return rows // self.cell * self.cell, columns // self.cell * self.cell

    def noise(self, seed: int, latents: np.ndarray) -> np.ndarray:
        return self.pack(randn(seed, latents.shape))

    def sigmas(self, steps: int, cells: int) -> np.ndarray:
        return self.schedule.sigmas(steps, self.schedule.mu(cells))

    def fixed(self, wanted: DenoiseRequest, conditioning: Arrays, cells: np.ndarray) -> Arrays:
        text = conditioning["conditioning"]
        guidance = wanted.guidance or self.guidance
        given = {
            "text": text[None],
            "pooled": conditioning["pooled"][None],
            "ids": step_ids(self.grid(wanted.latents), cells)[None],
            "text_ids": np.zeros((1, len(text), 3), np.float32),
        }
        return (
            given
            if self.guidance is None
            else given | {"guidance": np.array([guidance], np.float32)}
        )

    def varying(self, wanted: DenoiseRequest, tokens: np.ndarray, sigma: np.float32) -> Arrays:
        return {
            "tokens": np.concatenate([tokens, self.pack(wanted.latents)])[None],
            "timestep": sigma[None],
        }


def step_ids(grid: tuple[int, int], cells: np.ndarray | slice = slice(None)) -> np.ndarray:
    """Position ids (image, row, column) of the target's tokens `cells` and of the whole reference,
    float32 [S, 3]."""
    return np.concatenate([grid_ids(grid, TARGET)[cells], grid_ids(grid, REFERENCE)])[:, :3]

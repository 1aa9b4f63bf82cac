"""FLUX.1 Kontext's diffusion transformer: CLIP and T5 for conditioning, the reference in full attention with the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from retouch.latents import grid_ids, pack, unpack
from retouch.schedule import Schedule
from retouch.torch_noise import randn

if TYPE_CHECKING:
    from retouch.denoising import Wanted

Arrays = dict[str, np.ndarray]

PATCH = 2  # latents a token covers in each direction
TARGET, REFERENCE = 0, 1  # first position ids
# (height, width) in pixels that the network was trained at: diffusers' PREFERRED_KONTEXT_RESOLUTIONS
SIZES = ((1568, 672), (1504, 688), (1456, 720), (1392, 752), (1328, 800), (1248, 832), (1184, 880), (1104, 944),
         (1024, 1024), (944, 1104), (880, 1184), (832, 1248), (800, 1328), (752, 1392), (720, 1456), (688, 1504),
         (672, 1568))


class Kontext:
    """Its conditioning are `text` [T, J] and `pooled` [P], as `retouch.readers.kontext` reads them. Guidance is distilled:
    a number that the network is told; a negative instruction adds the true one. The target is as large as the source."""

    keeps = partial = False

    def __init__(self, settings: dict[str, Any]):
        """ValueError for a scheduler that is not known here."""
        self.schedule, self.cell = Schedule.of(settings["scheduler"]), settings["cell"]
        self.guidance = settings["default_guidance"] if settings["guidance_embeds"] else None

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Of `SIZES` the one whose aspect ratio is nearest to that of whole cells of the image."""
        aspect = (width - width % self.cell) / (height - height % self.cell)
        _, columns, rows = min((abs(aspect - columns / rows), columns, rows) for rows, columns in SIZES)
        return rows // self.cell * self.cell, columns // self.cell * self.cell

    def grid(self, latents: np.ndarray) -> tuple[int, int]:
        return latents.shape[1] // PATCH, latents.shape[2] // PATCH

    def pack(self, latents: np.ndarray) -> np.ndarray:
        return pack(latents[None], PATCH)[0]

    def unpack(self, tokens: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
        return unpack(tokens[None], grid, PATCH)[0]

    def noise(self, seed: int, latents: np.ndarray) -> np.ndarray:
        return self.pack(randn(seed, latents.shape))

    def sigmas(self, steps: int, cells: int) -> np.ndarray:
        return self.schedule.sigmas(steps, self.schedule.mu(cells))

    def reference(self, latents: np.ndarray) -> Arrays:
        raise ValueError("this family keeps no reference: its tokens are in every step")

    def fixed(self, wanted: Wanted, conditioning: Arrays, cells: np.ndarray) -> Arrays:
        if wanted.more:
            raise ValueError("this family edits one image and takes no further references")
        text, guidance = conditioning["text"], wanted.guidance or self.guidance
        given = {
            "text": text[None], "pooled": conditioning["pooled"][None],
            "ids": step_ids(self.grid(wanted.latents), cells)[None], "text_ids": np.zeros((1, len(text), 3), np.float32),
        }
        return given if self.guidance is None else given | {"guidance": np.array([guidance], np.float32)}

    def varying(self, wanted: Wanted, tokens: np.ndarray, sigma: np.float32) -> Arrays:
        return {"tokens": np.concatenate([tokens, self.pack(wanted.latents)])[None], "timestep": sigma[None]}

    def guided(self, positive: np.ndarray, negative: np.ndarray, scale: float) -> np.ndarray:
        return negative + np.float32(scale) * (positive - negative)


def step_ids(grid: tuple[int, int], cells: np.ndarray | slice = slice(None)) -> np.ndarray:
    """Position ids (image, row, column) of the target's tokens `cells` and of the whole reference, float32 [S, 3]."""
    return np.concatenate([grid_ids(grid, TARGET)[cells], grid_ids(grid, REFERENCE)])[:, :3]

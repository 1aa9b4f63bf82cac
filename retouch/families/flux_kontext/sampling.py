"""FLUX.1 Kontext's diffusion transformer: CLIP and T5 for conditioning, and reference tokens in
full attention with the others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from retouch.diffusion.latents import grid_ids
from retouch.diffusion.sigmas import Schedule
from retouch.families import base
from retouch.families.denoise_request import Arrays, DenoiseRequest, Size

# first position ids
TARGET = 0
REFERENCE = 1
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


class Family(base.Family):
    """The conditioning is `prompt_embeds` [T, J] of T5 and `pooled_prompt_embeds` [P] of CLIP.

    Guidance is distilled: the network takes its strength as an input. A negative instruction adds
    classifier-free guidance. The target is as large as the source."""

    def __init__(self, settings: dict[str, Any]):
        self.schedule = Schedule.of(settings["scheduler"])
        self.cell = settings["cell"]
        self.sizes = settings.get("sizes", SIZES)
        self._settings = settings
        self.guidance = settings["default_guidance"] if settings["guidance_embeds"] else None

    @property
    def size_ranges(self) -> list[base.SizeRange]:
        sizes = sorted((self.size(*size) for size in self.sizes), key=math.prod)
        return [(sizes[0], self.size(*SQUARE), sizes[-1])]

    @property
    def text_tokens(self) -> tuple[int, int, int]:
        return (self._settings["words"],) * 3

    def shapes(self, size: Size, text_tokens: int) -> tuple[base.Shape, dict[str, base.Shape]]:
        latents = (
            self._settings["latent_channels"],
            *(side // self.cell * self.patch for side in size),
        )
        network = self._settings["transformer"]
        return latents, {
            "prompt_embeds": (text_tokens, network["joint_attention_dim"]),
            "pooled_prompt_embeds": (network["pooled_projection_dim"],),
        }

    def size(self, height: int, width: int) -> Size:
        """The size in `sizes` with the aspect ratio nearest to that of the image's whole cells."""
        aspect = (width - width % self.cell) / (height - height % self.cell)
        _, columns, rows = min(
            (abs(aspect - columns / rows), columns, rows) for rows, columns in self.sizes
        )
        return rows // self.cell * self.cell, columns // self.cell * self.cell

    def constant_inputs(
        self, request: DenoiseRequest, conditioning: Arrays, cells: np.ndarray
    ) -> Arrays:
        prompt_embeds = conditioning["prompt_embeds"]
        inputs = {
            "text": prompt_embeds[None],
            "pooled": conditioning["pooled_prompt_embeds"][None],
            "ids": step_ids(self.grid(request.latents), cells)[None],
            "text_ids": np.zeros((1, len(prompt_embeds), 3), np.float32),
        }
        if self.guidance is not None:
            inputs["guidance"] = np.array([request.guidance or self.guidance], np.float32)
        return inputs

    def step_inputs(self, request: DenoiseRequest, tokens: np.ndarray, sigma: np.float32) -> Arrays:
        return {
            "tokens": np.concatenate([tokens, self.pack(request.latents)])[None],
            "timestep": np.array([sigma]),
        }


def step_ids(grid: tuple[int, int], cells: np.ndarray | slice = slice(None)) -> np.ndarray:
    """Position ids (image, row, column) of the target's tokens `cells` and of the whole reference,
    float32 [S, 3]."""
    return np.concatenate([grid_ids(grid, TARGET)[cells], grid_ids(grid, REFERENCE)])[:, :3]

"""Qwen-Image-Edit's diffusion transformer: Qwen2.5-VL's hidden states for conditioning, and target
and references in full attention."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from retouch.api.limits import MAX_ASPECT, MAX_INSTRUCTION
from retouch.diffusion.sigmas import TRAINED_STEPS, Schedule
from retouch.families import base
from retouch.families.denoise_request import Arrays, DenoiseRequest, Size

MULTIPLE = 32  # pixels: both sides of an image are a multiple of it
THETA = 10000.0
PROPORTIONS = 1001  # tried between the narrowest and the widest
FEWEST = 32  # tokens of a short instruction and of the template after it
ROUNDING = 0.25  # a photo has at most this share more tokens than its area makes


def dimensions(area: int, height: float, width: float) -> tuple[int, int]:
    """Height and width of about `area` pixels with the proportions of `height` and `width`:
    diffusers' `calculate_dimensions`."""
    ratio = width / height
    wide = math.sqrt(area * ratio)
    return round(wide / ratio / MULTIPLE) * MULTIPLE, round(wide / MULTIPLE) * MULTIPLE


class Family(base.Family):
    """The conditioning is `prompt_embeds` [T, J]. The reference tokens are those of the source and,
    after it, of `extra_references`, each with a size of its own. The target is as large as the
    source."""

    text_sees_images = True

    def __init__(self, settings: dict[str, Any]):
        self.patch = settings["patch"]
        self.area = settings["area"]
        self.axes = settings["axes"]
        self.negative = settings["negative"]
        self.max_references = settings["photos"] - 1
        self.schedule = Schedule.of(settings["scheduler"])
        self._settings = settings

    @property
    def size_ranges(self) -> list[base.SizeRange]:
        """Images have about the same area: the sizes that rounding makes of it, in all proportions
        that are accepted."""
        return [size_range(self.area)]

    @property
    def text_tokens(self) -> tuple[int, int, int]:
        """The photos' tokens, which vary by rounding, and the instruction's."""
        photo = self._settings["seen"]
        photos = self.max_references + 1
        return (
            min(FEWEST, photo),
            photo + FEWEST,
            round(photos * photo * (1 + ROUNDING)) + MAX_INSTRUCTION,
        )

    def shapes(self, size: Size, text_tokens: int) -> tuple[base.Shape, dict[str, base.Shape]]:
        latents = (
            self._settings["latent_channels"],
            *(side // self._settings["factor"] for side in size),
        )
        return latents, {"prompt_embeds": (text_tokens, self._settings["conditioning"])}

    def size(self, height: int, width: int) -> Size:
        return dimensions(self.area, height, width)

    def constant_inputs(
        self, request: DenoiseRequest, conditioning: Arrays, cells: np.ndarray
    ) -> Arrays:
        prompt_embeds = conditioning["prompt_embeds"]
        references = [request.latents, *request.extra_references]
        grids = [self.grid(latents) for latents in (request.latents, *references)]
        return {
            "references": np.concatenate([self.pack(latents) for latents in references])[None],
            "text": prompt_embeds[None],
            "rope": rope_table(image_positions(grids), self.axes)[None],
            "text_rope": rope_table(text_positions(grids, len(prompt_embeds)), self.axes)[None],
        }

    def step_inputs(self, request: DenoiseRequest, tokens: np.ndarray, sigma: np.float32) -> Arrays:
        return {"tokens": tokens[None], "timestep": np.array([sigma]) * np.float32(TRAINED_STEPS)}

    def apply_cfg(self, positive: np.ndarray, negative: np.ndarray, scale: float) -> np.ndarray:
        """The combined velocity has the norm of the positive one at every token, as in
        `QwenImageEditPipeline`."""
        combined = super().apply_cfg(positive, negative, scale)
        norms = (
            np.linalg.norm(velocity, axis=-1, keepdims=True) for velocity in (positive, combined)
        )
        return combined * np.divide(*norms)


def size_range(area: int) -> base.SizeRange:
    """The smallest, the usual and the largest size of about `area` pixels, in all proportions that
    are accepted."""
    ratios = np.geomspace(1 / MAX_ASPECT, MAX_ASPECT, PROPORTIONS)
    sizes = sorted({dimensions(area, 1, ratio) for ratio in ratios}, key=math.prod)
    return sizes[0], dimensions(area, 1, 1), sizes[-1]


def rope_table(positions: np.ndarray, axes: Sequence[int]) -> np.ndarray:
    """Cosines and sines float32 [N, 2, head size / 2] of positions [N, 3]. The axes' frequencies
    lie side by side, as in `QwenEmbedRope`."""
    angles = np.concatenate(
        [
            positions[:, [axis]].astype(np.float32) * _frequencies(size)
            for axis, size in enumerate(axes)
        ],
        1,
    )
    return np.stack([np.cos(angles), np.sin(angles)], 1)


def image_positions(grids: list[tuple[int, int]]) -> np.ndarray:
    """Positions (image, row, column) of the tokens of `grids`, the target's first, int [N, 3]. Rows
    and columns count from an image's middle."""
    return np.concatenate([grid_positions(grid, index) for index, grid in enumerate(grids)])


def grid_positions(grid: tuple[int, int], frame: int) -> np.ndarray:
    """Positions (frame, row, column) of an image's tokens, int [N, 3]. Rows and columns count from
    its middle."""
    rows, columns = grid
    row, column = np.divmod(np.arange(rows * columns), columns)
    middle = (rows + 1) // 2, (columns + 1) // 2
    return np.stack([np.full_like(row, frame), row - middle[0], column - middle[1]], 1)


def text_positions(grids: list[tuple[int, int]], length: int) -> np.ndarray:
    """Positions of a text's tokens, int [length, 3]: they count on all axes from the end of the
    largest image."""
    start = max(side // 2 for grid in grids for side in grid)
    return np.repeat(start + np.arange(length)[:, None], 3, 1)


def _frequencies(size: int) -> np.ndarray:
    """Frequencies of an axis with `size` numbers of a head, float32 [size / 2]."""
    return np.float32(1) / np.float32(THETA) ** (
        np.arange(0, size, 2, dtype=np.float32) / np.float32(size)
    )

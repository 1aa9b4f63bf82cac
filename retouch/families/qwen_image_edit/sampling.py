"""Qwen-Image-Edit's diffusion transformer: target and references in full attention, told by
Qwen2.5-VL what to do."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from retouch.api.request import MAX_ASPECT, MAX_INSTRUCTION
from retouch.diffusion.noise import randn
from retouch.diffusion.sigmas import TRAINED_STEPS, Schedule
from retouch.families.defaults import Defaults
from retouch.families.denoise_request import Arrays, DenoiseRequest, Size

MULTIPLE = 32  # pixels: both sides of an image are a multiple of it
THETA = 10000.0
PROPORTIONS = 1001  # that are tried between the narrowest and the widest
FEWEST = 32  # tokens of a short sentence and of the template after it
ROUNDING = 0.25  # by how much a photo has more tokens than asked for, at most


def dimensions(area: int, height: int, width: int) -> tuple[int, int]:
    """Height and width of about `area` pixels in the proportions given: diffusers'
    `calculate_dimensions`."""
    ratio = width / height
    wide = math.sqrt(area * ratio)
    return round(wide / ratio / MULTIPLE) * MULTIPLE, round(wide / MULTIPLE) * MULTIPLE


class QwenImageEdit(Defaults):
    """Its conditioning is `conditioning` [T, J]. References are the source and, after it,
    `DenoiseRequest.more`, each of a size of its own; the target is as large as the source."""

    def __init__(self, settings: dict[str, Any]):
        self.patch = settings["patch"]
        self.area = settings["area"]
        self.axes = settings["axes"]
        self.negative = settings["negative"]
        self.true_cfg = settings["default_true_cfg"]
        self.references = settings["photos"] - 1
        self.schedule = Schedule.of(settings["scheduler"])
        self._settings = settings

    @property
    def spans(self) -> list[tuple[Size, Size, Size]]:
        """Of images of about the same area: what rounding leaves of them in all proportions that
        are taken."""
        ratios = np.geomspace(1 / MAX_ASPECT, MAX_ASPECT, PROPORTIONS)
        sizes = sorted({dimensions(self.area, 1, ratio) for ratio in ratios}, key=math.prod)
        return [(sizes[0], self.size(1, 1), sizes[-1])]

    @property
    def words(self) -> tuple[int, int, int]:
        """The tokens of one photo as it is seen, more or less by what rounding leaves of it, and a
        sentence's."""
        seen = self._settings["seen"]
        photos = self.references + 1
        return (
            min(FEWEST, seen),
            seen + FEWEST,
            round(photos * seen * (1 + ROUNDING)) + MAX_INSTRUCTION,
        )

    def shapes(self, size: Size, words: int) -> tuple[tuple[int, ...], dict[str, tuple[int, ...]]]:
        latents = (
            self._settings["latent_channels"],
            *(side // self._settings["factor"] for side in size),
        )
        return latents, {"conditioning": (words, self._settings["conditioning"])}

    def size(self, height: int, width: int) -> tuple[int, int]:
        """The pixels at which an image of that size is edited or referred to."""
        return dimensions(self.area, height, width)

    def noise(self, seed: int, latents: np.ndarray) -> np.ndarray:
        return self.pack(randn(seed, latents.shape))

    def sigmas(self, steps: int, cells: int) -> np.ndarray:
        return self.schedule.sigmas(steps, self.schedule.mu(cells))

    def fixed(self, wanted: DenoiseRequest, conditioning: Arrays, cells: np.ndarray) -> Arrays:
        references = [wanted.latents, *wanted.more]
        grids = [self.grid(latents) for latents in (wanted.latents, *references)]
        return {
            "references": np.concatenate([self.pack(latents) for latents in references])[None],
            "text": conditioning["conditioning"][None],
            "rope": self._rope(image_positions(grids))[None],
            "text_rope": self._rope(text_positions(grids, len(conditioning["conditioning"])))[None],
        }

    def varying(self, wanted: DenoiseRequest, tokens: np.ndarray, sigma: np.float32) -> Arrays:
        return {"tokens": tokens[None], "timestep": sigma[None] * np.float32(TRAINED_STEPS)}

    def guided(self, positive: np.ndarray, negative: np.ndarray, scale: float) -> np.ndarray:
        """As long as the positive velocity at every token, as `QwenImageEditPipeline` has it."""
        led = super().guided(positive, negative, scale)
        lengths = (np.linalg.norm(velocity, axis=-1, keepdims=True) for velocity in (positive, led))
        return led * np.divide(*lengths)

    def _rope(self, positions: np.ndarray) -> np.ndarray:
        """Cosines and sines float32 [N, 2, head size / 2] of positions [N, 3]: the axes'
        frequencies side by side, as `QwenEmbedRope` has them."""
        angles = np.concatenate(
            [
                positions[:, [axis]].astype(np.float32) * _frequencies(size)
                for axis, size in enumerate(self.axes)
            ],
            1,
        )
        return np.stack([np.cos(angles), np.sin(angles)], 1)


def image_positions(grids: list[tuple[int, int]]) -> np.ndarray:
    """Which image, row and column, int [N, 3], of the tokens of `grids`, the target's first; rows
    and columns count from an image's middle."""
    found = []
    for index, (rows, columns) in enumerate(grids):
        row, column = np.divmod(np.arange(rows * columns), columns)
        found.append(
            np.stack(
                [np.full_like(row, index), row - (rows + 1) // 2, column - (columns + 1) // 2], 1
            )
        )
    return np.concatenate(found)


def text_positions(grids: list[tuple[int, int]], length: int) -> np.ndarray:
    """int [length, 3]: words count on, on all axes, from where the largest image ends."""
    start = max(side // 2 for grid in grids for side in grid)
    return np.repeat(start + np.arange(length)[:, None], 3, 1)


def _frequencies(size: int) -> np.ndarray:
    """Of an axis with `size` numbers of a head, float32 [size / 2]."""
    return np.float32(1) / np.float32(THETA) ** (
        np.arange(0, size, 2, dtype=np.float32) / np.float32(size)
    )

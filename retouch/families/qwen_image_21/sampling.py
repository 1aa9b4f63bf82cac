"""Qwen-Image 2.1 (`QwenImage21Pipeline`): a block-causal transformer. The photos stand before the
instruction, so their keys and values serve every instruction, seed, step and target.

The sequence is: text before photo 1, photo 1, text before photo 2, …, the instruction, the target.
The prompt embeds are those of the texts alone, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from retouch.api.limits import MAX_ASPECT, MAX_INSTRUCTION
from retouch.diffusion.sigmas import TRAINED_STEPS, Schedule
from retouch.families import base
from retouch.families.denoise_request import Arrays, DenoiseRequest, Size
from retouch.families.qwen_image_edit.sampling import (
    MULTIPLE,
    dimensions,
    grid_positions,
    rope_table,
    size_range,
)

LARGEST = 4.2  # times the area of a photo that a target may have: 2400 × 1792 by 1024 × 1024
FEWEST = 8  # tokens of a short instruction and of the template around it
USUAL = 32
TEMPLATE = 48  # at most, of the template around an instruction and of TRANSPARENT
# as the checkpoint's authors recommend
TRANSPARENT = (
    "This is an RGBA image with transparency. {} "
    "The image has alpha channel and the background is transparent."
)


class Family(base.Family):
    """The conditioning is `prompt_embeds` [T, J]. The target is as large as the source, or of a
    size of its own."""

    caches_reference = True
    is_block_causal = True
    supports_sizes = True
    supports_transparency = True
    text_sees_images = True
    patch = 1

    def __init__(self, settings: dict[str, Any]):
        self.area = settings["area"]
        self.axes = settings["axes"]
        self.text_before = settings["text_before"]  # tokens before each photo
        self.max_references = len(self.text_before) - 1
        self.schedule = Schedule.of(settings["scheduler"])
        self._settings = settings

    @property
    def size_ranges(self) -> list[base.SizeRange]:
        return [size_range(self.area)]

    @property
    def text_tokens(self) -> tuple[int, int, int]:
        """The texts before the photos too: of one photo at least, and of all at most."""
        first, *others = self.text_before
        most = first + sum(others)
        return first + FEWEST, first + sum(others[:1]) + USUAL, most + MAX_INSTRUCTION + TEMPLATE

    def shapes(self, size: Size, text_tokens: int) -> tuple[base.Shape, dict[str, base.Shape]]:
        factor = self._settings["factor"]
        latents = self._settings["latent_channels"], *(side // factor for side in size)
        return latents, {"prompt_embeds": (text_tokens, self._settings["conditioning"])}

    def size(self, height: int, width: int) -> Size:
        return dimensions(self.area, height, width)

    def check_size(self, size: Size) -> None:
        height, width = size
        most = round(LARGEST * self.area)
        if height % MULTIPLE or width % MULTIPLE:
            raise ValueError(f"must have sides that are multiples of {MULTIPLE}")
        if height * width > most or max(size) > MAX_ASPECT * min(size):
            raise ValueError(
                f"must have at most {most} pixels, and a longer side of at most {MAX_ASPECT:g} "
                "times the shorter"
            )

    def transparent(self, instruction: str) -> str:
        sentence = instruction.strip()
        return TRANSPARENT.format(
            sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
        )

    def reference_runs(self, images: Sequence[np.ndarray]) -> list[Sequence[np.ndarray]]:
        """An image's keys and values depend on the images before it."""
        return [images[:count] for count in range(1, len(images) + 1)]

    def reference_inputs(self, images: Sequence[np.ndarray], conditioning: Arrays) -> Arrays:
        """For the last of `images`. Nothing stands before the first."""
        *earlier, image = images
        start = sum(self.text_before[: len(earlier)])
        count = self.text_before[len(earlier)]
        position = self._position(earlier)
        grid = self.grid(image)
        inputs = {
            "text": conditioning["prompt_embeds"][None, start : start + count],
            "tokens": self.pack(image)[None],
            "rope": self._rope(text_positions(position, count), grid, position + count),
        }
        return inputs if earlier else inputs | self._nothing()

    def prefix_inputs(self, images: Sequence[np.ndarray], conditioning: Arrays) -> Arrays:
        """The text after all `images`."""
        text = conditioning["prompt_embeds"][sum(self.text_before[: len(images)]) :]
        positions = text_positions(self._position(images), len(text))
        return {"text": text[None], "rope": rope_table(positions, self.axes)[None]}

    def constant_inputs(
        self, request: DenoiseRequest, conditioning: Arrays, cells: np.ndarray
    ) -> Arrays:
        images = request.latents, *request.extra_references
        texts = len(conditioning["prompt_embeds"]) - sum(self.text_before[: len(images)])
        frame = self._position(images) + texts
        positions = grid_positions(self.grid(request.target), frame)[cells]
        return {"rope": rope_table(positions, self.axes)[None]}

    def step_inputs(self, request: DenoiseRequest, tokens: np.ndarray, sigma: np.float32) -> Arrays:
        return {"tokens": tokens[None], "timestep": np.array([sigma]) * np.float32(TRAINED_STEPS)}

    def _position(self, images: Sequence[np.ndarray]) -> int:
        """The position after `images` and the texts before them. An image advances it by its longer
        side."""
        return sum(count + max(self.grid(image)) for count, image in zip(self.text_before, images))

    def _rope(self, texts: np.ndarray, grid: tuple[int, int], frame: int) -> np.ndarray:
        positions = np.concatenate([texts, grid_positions(grid, frame)])
        return rope_table(positions, self.axes)[None]

    def _nothing(self) -> Arrays:
        """Keys and values of no tokens."""
        layers, heads, size = self._settings["attention"]
        return dict.fromkeys(
            ("past_k", "past_v"), np.zeros((1, layers, 0, heads, size), np.float32)
        )


def text_positions(start: int, count: int) -> np.ndarray:
    """Positions of a text's tokens, int [count, 3]: they count on all axes."""
    return np.repeat(start + np.arange(count)[:, None], 3, 1)

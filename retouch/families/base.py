"""What a family of checkpoints is: how its diffusion transformer is fed, step by step. numpy only.

The loop around it is the same for all families: which edits share a step, what is cached, what is
sent."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from retouch.diffusion.latents import pack, unpack
from retouch.diffusion.noise import randn
from retouch.diffusion.sigmas import Schedule
from retouch.families.denoise_request import Arrays, DenoiseRequest, Size

# the smallest, the usual and the largest size at which images of one kind are edited
SizeRange = tuple[Size, Size, Size]
Shape = tuple[int, ...]


class Family(ABC):
    """Made as `Family(settings)` of a lane's settings; ValueError when they are not supported.

    Arrays are float32 and have no batch dimension, except the inputs of graphs: they have a first
    dimension of 1. C channels of latents, N tokens of an image, n tokens of the target, D numbers
    of a token.

    - `steps`: the default number of denoising steps.
    - `has_parser`: a parser reads the instruction and finds the region. Otherwise a text encoder
      reads it.
    - `caches_reference`: the graph `reference` computes the reference's keys and values once an
      image. Otherwise its tokens are inputs of every step.
    - `is_block_causal`: everything sees what stands before it alone. The graph `reference` runs
      once an image, after the images and the text before it, and the graph `prefix` once a prompt.
    - `supports_regions`: a step can take any subset of the target's tokens.
    - `supports_region_cache`: all tokens attend to one another, and a step can run a part of them
      over keys and values that the others had in a step before, `kept_bytes_per_token` of each.
    - `supports_sizes`: the target may have another size than the source, by `check_size`.
    - `supports_transparency`: the autoencoder encodes and decodes transparency too.
    - `supports_negative`: requests may have a negative instruction.
    - `text_sees_images`: the text encoder takes the photos too.
    - `negative`, `true_cfg`: the defaults. A scale of 1, or None, runs no negative instruction.
    - `max_references`: reference images beside the edited one.
    - `guidance`: the default of a network with embedded guidance, else None.
    - `keep_below`: pixels that an edit changes by fewer grey levels are the source's.
    - `finest_detail`: the autoencoder blurs what is smaller than so many pixels.
    - `patch`: a token is a patch of so many latents in each direction.

    Subclasses also have the `schedule` of noise levels, `size_ranges`, the sizes to build plans
    for, the largest kind first, and `text_tokens`, the least, usual and largest number of tokens of
    prompt embeds."""

    steps = 0
    has_parser = False
    caches_reference = False
    is_block_causal = False
    supports_regions = False
    supports_region_cache = False
    kept_bytes_per_token = 0
    supports_negative = True
    supports_sizes = False
    supports_transparency = False
    text_sees_images = False
    negative: str | None = None
    true_cfg = 1.0
    max_references = 0
    guidance: float | None = None
    keep_below = 0
    finest_detail = 1
    patch = 2
    schedule: Schedule
    size_ranges: Sequence[SizeRange]
    text_tokens: tuple[int, int, int]

    @abstractmethod
    def __init__(self, settings: dict[str, Any]): ...

    @abstractmethod
    def shapes(self, size: Size, text_tokens: int) -> tuple[Shape, dict[str, Shape]]:
        """The shapes of the latents of an image edited at `size`, and of the conditioning's arrays
        by name."""

    @abstractmethod
    def size(self, height: int, width: int) -> Size:
        """The size in pixels at which an image of `height` and `width` is edited."""

    @abstractmethod
    def constant_inputs(
        self, request: DenoiseRequest, conditioning: Arrays, cells: np.ndarray
    ) -> Arrays:
        """The inputs of `step` that are the same at every step, for the target's tokens `cells`
        [n], without the cached reference's."""

    @abstractmethod
    def step_inputs(self, request: DenoiseRequest, tokens: np.ndarray, sigma: np.float32) -> Arrays:
        """The inputs of `step` at noise level `sigma`, for noisy tokens [n, D]. The graph's first n
        velocities are theirs."""

    def check_size(self, size: Size) -> None:
        """ValueError where no target has this `size` in pixels."""
        raise ValueError("must be auto")

    def transparent(self, instruction: str) -> str:
        """The instruction for a result with a transparent background."""
        return instruction

    def defaults(self) -> dict[str, Any]:
        """What an edit takes that names nothing else, under the names of the request's fields.
        `sigmas`, if the lane has some of its own, hold for as many steps."""
        values: dict[str, Any] = {"steps": self.steps}
        if self.guidance is not None:
            values["guidance"] = self.guidance
        if self.supports_negative:
            values["true_cfg"] = self.true_cfg
        if self.schedule.levels:
            values["sigmas"] = list(self.schedule.levels)
        return values

    def noise(self, seed: int, latents: np.ndarray) -> np.ndarray:
        """The seed's noise for a target as large as `latents` [C, h, w], as tokens [N, D]."""
        return self.pack(randn(seed, latents.shape))

    def sigmas(self, steps: int, cells: int) -> np.ndarray:
        """Noise levels [steps + 1] before each step and after the last, for a target of `cells`
        tokens."""
        return self.schedule.sigmas(steps, self.schedule.mu(cells))

    def reference_runs(self, images: Sequence[np.ndarray]) -> list[Sequence[np.ndarray]]:
        """The images that successive runs of `reference` depend on, the last run on all. A run
        after the first also takes `past_k` and `past_v`, the keys and values of the one before."""
        return [images]

    def reference_inputs(self, images: Sequence[np.ndarray], conditioning: Arrays) -> Arrays:
        """The inputs of a run of `reference` for a source and up to `max_references` further
        images, latents [C, h, w] each. Only a block-causal family reads `conditioning`. ValueError
        in a family that does not cache references."""
        raise ValueError("this family caches no reference: its tokens are in every step")

    def prefix_inputs(self, images: Sequence[np.ndarray], conditioning: Arrays) -> Arrays:
        """The inputs of `prefix` for a prompt after `images`, without their keys and values;
        ValueError in a family that is not block-causal."""
        raise ValueError("this family has no graph for a prompt: it is an input of every step")

    def whole_inputs(self, kept: np.ndarray | None = None) -> Arrays:
        """The further inputs of `step` for all tokens, where the family `supports_region_cache`. It
        returns the keys and values of the tokens `kept` [M], by default of none."""
        return {}

    def region_inputs(
        self, request: DenoiseRequest, conditioning: Arrays, cells: np.ndarray
    ) -> Arrays:
        """`constant_inputs` of a step on the region's tokens `cells` [n] alone, without the keys
        and values of the others; ValueError unless the family `supports_region_cache`."""
        raise ValueError("this family has no steps on a region alone")

    def others(self, request: DenoiseRequest, cells: np.ndarray) -> np.ndarray:
        """The tokens [M] that such a step leaves out, as `whole_inputs` takes them: those of the
        target and, after them, of all references."""
        images = request.latents, *request.extra_references
        target = len(self.pack(request.latents))
        references = sum(len(self.pack(image)) for image in images)
        left_out = np.setdiff1d(np.arange(target), cells)
        return np.concatenate([left_out, target + np.arange(references)])

    def apply_cfg(self, positive: np.ndarray, negative: np.ndarray, scale: float) -> np.ndarray:
        """Classifier-free guidance: one velocity [n, D] of those of the instruction and of the
        negative instruction."""
        return negative + np.float32(scale) * (positive - negative)

    def grid(self, latents: np.ndarray) -> tuple[int, int]:
        """Rows and columns of tokens of latents [C, h, w]."""
        return latents.shape[1] // self.patch, latents.shape[2] // self.patch

    def pack(self, latents: np.ndarray) -> np.ndarray:
        """Latents [C, h, w] → tokens [N, D]."""
        return pack(latents[None], self.patch)[0]

    def unpack(self, tokens: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
        """Tokens [N, D] of a grid (rows, columns) → latents [C, h, w]."""
        return unpack(tokens[None], grid, self.patch)[0]

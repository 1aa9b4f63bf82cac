"""What is so in most families."""

from __future__ import annotations

import numpy as np

from retouch.diffusion.latents import pack, unpack
from retouch.families.denoise_request import Arrays


class Defaults:
    """Full attention over target and reference, one image; a negative instruction counts where a
    request brings one; latents in patches of `patch` by `patch` are a token."""

    keeps = partial = False
    negatives = True
    negative = ""
    true_cfg = 1.0
    references = 0
    guidance: float | None = None  # of a network that has its strength embedded: the default one
    keep_below = 0
    patch = 2

    def grid(self, latents: np.ndarray) -> tuple[int, int]:
        return latents.shape[1] // self.patch, latents.shape[2] // self.patch

    def pack(self, latents: np.ndarray) -> np.ndarray:
        return pack(latents[None], self.patch)[0]

    def unpack(self, tokens: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
        return unpack(tokens[None], grid, self.patch)[0]

    def reference(self, latents: np.ndarray, *more: np.ndarray) -> Arrays:
        raise ValueError("this family keeps no reference: its tokens are in every step")

    def guided(self, positive: np.ndarray, negative: np.ndarray, scale: float) -> np.ndarray:
        """Led away from the negative instruction by `scale` (classifier-free guidance)."""
        return negative + np.float32(scale) * (positive - negative)

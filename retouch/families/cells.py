"""Latents as a grid of cells, one token each: what the families share."""

from __future__ import annotations

import numpy as np

from retouch.latents import pack, unpack


class Cells:
    """A token is `patch` by `patch` latents, in `FluxPipeline._pack_latents`' order of channels."""

    patch: int

    def grid(self, latents: np.ndarray) -> tuple[int, int]:
        return latents.shape[1] // self.patch, latents.shape[2] // self.patch

    def pack(self, latents: np.ndarray) -> np.ndarray:
        return pack(latents[None], self.patch)[0]

    def unpack(self, tokens: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
        return unpack(tokens[None], grid, self.patch)[0]

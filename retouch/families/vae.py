"""The autoencoder's two stages, between pixels and normalised latents. Latents have 1/`factor` of
the pixels in each direction.

An image of more than WHOLE pixels goes through in tiles, so that its memory is that of a tile. Its
pixels then differ a little from those of a whole run, as with diffusers' `enable_tiling`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from retouch.backends.base import BackendFactory
from retouch.backends.onnx import OnnxBackend
from retouch.diffusion.preview import to_uint8
from retouch.diffusion.tiling import Tiling
from retouch.util.content_cache import Cache, key_of

GRAPH = "model"
WHOLE = 1536 * 1536  # pixels of an image that runs whole
TILE = 1024  # pixels of a tile in each direction: the size that FLUX.1's autoencoder was trained at
STRIDE = 768  # pixels from a tile to the next: a quarter overlaps, as in diffusers
BYTES = 32 << 20  # of cached latents


class VaeEncoder:
    """Caches latents by their image's content."""

    def __init__(self, folder: Path, bytes: int = BYTES, backend: BackendFactory = OnnxBackend):
        """ArtifactError when the artifact does not match the folder's manifest."""
        self._backend = backend(folder, GRAPH)
        self.cache = Cache(bytes)

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """Images uint8 [B, H, W, 3] → latents float32 [B, C, H/factor, W/factor], the mode of the
        posterior. The array is the cache's: do not write to it."""
        return self.cache.get(key_of(pixels), lambda: self._encode(pixels))

    def _encode(self, pixels: np.ndarray) -> np.ndarray:
        scaled = pixels.transpose(0, 3, 1, 2).astype(np.float32) / np.float32(127.5) - 1
        if pixels.shape[1] * pixels.shape[2] > WHOLE:
            return Tiling(TILE, STRIDE).run(self._network, scaled)
        return self._network(scaled)

    def _network(self, scaled: np.ndarray) -> np.ndarray:
        return self._backend.run(pixels=scaled)["latents"]


class VaeDecoder:
    """Latents to pixels, uncached."""

    def __init__(self, folder: Path, backend: BackendFactory = OnnxBackend):
        """ArtifactError when the artifact does not match the folder's manifest."""
        self._backend = backend(folder, GRAPH)
        self._factor: int = self._backend.manifest.settings["factor"]

    def run(self, latents: np.ndarray) -> np.ndarray:
        """Latents float32 [B, C, h, w] → images uint8 [B, factor · h, factor · w, 3]."""
        return to_uint8(self._decode(latents).transpose(0, 2, 3, 1))

    def _decode(self, latents: np.ndarray) -> np.ndarray:
        if latents.shape[2] * latents.shape[3] * self._factor**2 > WHOLE:
            tiling = Tiling(TILE // self._factor, STRIDE // self._factor)
            return tiling.run(self._network, latents)
        return self._network(latents)

    def _network(self, latents: np.ndarray) -> np.ndarray:
        return self._backend.run(latents=latents)["pixels"]

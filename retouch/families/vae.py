"""The autoencoder's two stages, between pixels and normalised latents. Latents have 1/`factor` of
the pixels in each direction.

An image of more than WHOLE pixels goes through in tiles, so that its memory is that of a tile. Its
pixels then differ a little from those of a whole run, as with diffusers' `enable_tiling`. Images
that share a run have at most as many pixels together.

Pixels are [H, W, 3], or [H, W, 4] with opacity where the autoencoder has it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from retouch.artifacts.manifest import ArtifactError, Manifest
from retouch.backends.base import Backend, BackendFactory
from retouch.backends.batches import LARGEST, Arrays, run_rows
from retouch.backends.onnx import OnnxBackend
from retouch.diffusion.preview import to_uint8
from retouch.diffusion.tiling import Tiling
from retouch.imaging.images import with_alpha
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
        self.batches = self._backend.batches
        self.compiles = self._backend.compiles
        self.cache = Cache(bytes)
        self._has_opacity = self._backend.manifest.settings.get("channels", 3) == 4

    def run(self, pixels: np.ndarray) -> np.ndarray:
        """Images uint8 [B, H, W, 3 or 4] → latents float32 [B, C, H/factor, W/factor], the mode of
        the posterior. The array is the cache's: do not write to it."""
        latents = self.run_rows(list(pixels))
        return latents[0][None] if len(latents) == 1 else np.stack(latents)

    def run_rows(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """`run` for images of any sizes; equal sizes share a run where the backend gains
        by it."""
        keys = [key_of(image) for image in images]
        by_key = dict(zip(keys, images))
        return self.cache.get_all(
            keys, lambda missing: self._encode([by_key[key] for key in missing])
        )

    def _encode(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        scaled = [
            self._channels(image)[None].astype(np.float32) / np.float32(127.5) - 1
            for image in images
        ]
        latents = _outputs(self._backend, "pixels", "latents", scaled, factor=1)
        return [row[0] for row in latents]

    def _channels(self, image: np.ndarray) -> np.ndarray:
        """The network's channels [C, H, W] of an image; one without opacity is opaque."""
        return (with_alpha(image) if self._has_opacity else image).transpose(2, 0, 1)


class VaeDecoder:
    """Latents to pixels, uncached."""

    def __init__(self, folder: Path, backend: BackendFactory = OnnxBackend):
        """ArtifactError when the artifact does not match the folder's manifest."""
        self._backend = backend(folder, GRAPH)
        self.batches = self._backend.batches
        self._factor = _factor(self._backend.manifest)
        self.compiles = self._backend.compiles

    def run(self, latents: np.ndarray) -> np.ndarray:
        """Latents float32 [B, C, h, w] → images uint8 [B, factor · h, factor · w, 3 or 4]."""
        return np.stack(self.run_rows(list(latents)))

    def run_rows(self, rows: Sequence[np.ndarray]) -> list[np.ndarray]:
        """`run` for latents [C, h, w] of any sizes; equal sizes share a run where the backend gains
        by it."""
        arrays = [latents[None] for latents in rows]
        pixels = _outputs(self._backend, "latents", "pixels", arrays, self._factor)
        return [to_uint8(row[0].transpose(1, 2, 0)) for row in pixels]


def rows_of_a_run(pixels: int) -> int:
    """How many images of so many pixels share a run: their memory is that of the largest one."""
    return min(max(WHOLE // pixels, 1), LARGEST)


def _factor(manifest: Manifest) -> int:
    """Pixels of a latent in each direction; ArtifactError when the manifest lacks it."""
    if "factor" not in manifest.settings:
        raise ArtifactError(
            "the manifest of the decoder lacks its factor, as of an older export; "
            "run the export again"
        )
    return manifest.settings["factor"]


def _outputs(
    backend: Backend, name: str, output: str, arrays: Sequence[np.ndarray], factor: int
) -> list[np.ndarray]:
    """The `output` of the graph for every array [1, C, h, w] of its input `name`, of which a number
    in each direction stands for `factor` pixels. Large ones run in tiles, each by itself."""
    tiling = Tiling(TILE // factor, STRIDE // factor)
    is_large = [array.shape[2] * array.shape[3] * factor**2 > WHOLE for array in arrays]
    rows = [{name: array} for array, large in zip(arrays, is_large) if not large]

    def most(row: Arrays) -> int:
        return rows_of_a_run(row[name].shape[2] * row[name].shape[3] * factor**2)

    whole = iter(run_rows(backend, rows, most=most))
    return [
        tiling.run(lambda tile: backend.run(**{name: tile})[output], array)
        if large
        else next(whole)[output]
        for array, large in zip(arrays, is_large)
    ]

"""The autoencoder's stages on large images: tiles of a bounded size, and the same picture."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from retouch.artifacts.manifest import ArtifactError
from retouch.backends.base import joined
from retouch.families.vae import TILE, VaeDecoder, VaeEncoder

FACTOR = 8


class Resampler:
    """A backend that only changes the scale, so tiles must join without a trace. It notes the sizes
    of its inputs."""

    workers = 1
    batches = False
    compiles = False

    def __init__(self, folder, graph, keep=()):
        self.manifest = SimpleNamespace(settings={"factor": FACTOR})
        self.sizes = []

    def run(self, **inputs):
        ((name, value),) = inputs.items()
        array = joined(value)
        self.sizes.append(array.shape[2:])
        if name == "pixels":
            return {"latents": array[:, :, ::FACTOR, ::FACTOR]}
        return {"pixels": array.repeat(FACTOR, 2).repeat(FACTOR, 3)}


def made(stage):
    """A stage, and its backend."""
    backends = []

    def backend(*arguments):
        backends.append(Resampler(*arguments))
        return backends[-1]

    return stage("folder", backend=backend), backends


@pytest.mark.parametrize(
    ("size", "runs"), [((1536, 1536), 1), ((1568, 672), 1), ((2048, 2048), 9), ((1024, 2816), 8)]
)
def test_a_large_image_is_decoded_in_tiles(size, runs):
    decoder, (backend,) = made(VaeDecoder)
    shape = [1, 3, *(side // FACTOR for side in size)]
    latents = np.random.default_rng(0).random(shape, np.float32)
    pixels = decoder.run(latents)
    whole = latents.repeat(FACTOR, 2).repeat(FACTOR, 3).transpose(0, 2, 3, 1)
    assert np.abs(pixels - np.clip(whole * 127.5 + 127.5, 0, 255)).max() <= 1
    assert len(backend.sizes) == runs
    assert runs == 1 or np.max(backend.sizes) == TILE // FACTOR


def test_an_older_export_is_refused():
    class Older(Resampler):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.manifest = SimpleNamespace(settings={})

    with pytest.raises(ArtifactError, match="lacks its factor.*run the export again"):
        VaeDecoder("folder", backend=Older)


@pytest.mark.parametrize(("size", "runs"), [((1536, 1536), 1), ((2048, 2048), 9)])
def test_a_large_image_is_encoded_in_tiles(size, runs):
    encoder, (backend,) = made(VaeEncoder)
    pixels = np.random.default_rng(0).integers(0, 256, (1, *size, 3), np.uint8)
    latents = encoder.run(pixels)
    whole = pixels[:, ::FACTOR, ::FACTOR].transpose(0, 3, 1, 2) / 127.5 - 1
    np.testing.assert_allclose(latents, whole, atol=1e-5)
    assert len(backend.sizes) == runs
    assert runs == 1 or np.max(backend.sizes) == TILE

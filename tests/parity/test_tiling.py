"""Tiles of the autoencoders, against diffusers' own with `enable_tiling`."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import instructx_tiny
import klein_tiny
import qwen_image_edit_tiny
from retouch.diffusion.tiling import Tiling
from tiny import shake

FACTOR = 8  # pixels of a latent
SIDE = 64  # of a tile in pixels
STRIDE = 48
SIZES = ((64, 160), (160, 64), (104, 136), (64, 72))


class Flux:
    """AutoencoderKL and AutoencoderKLFlux2: tiles overlap by a quarter."""

    def __init__(self, vae):
        self.vae = vae
        vae.enable_tiling()
        vae.tile_sample_min_size = SIDE
        vae.tile_latent_min_size = SIDE // FACTOR

    def encode(self, pixels):
        return self.vae.encode(pixels).latent_dist.mode()

    def decode(self, latents):
        return self.vae.decode(latents).sample


class Qwen:
    """AutoencoderKLQwenImage: a frame of a video."""

    def __init__(self, vae):
        self.vae = vae
        vae.enable_tiling(SIDE, SIDE, STRIDE, STRIDE)

    def encode(self, pixels):
        return self.vae.encode(pixels[:, :, None]).latent_dist.mode()[:, :, 0]

    def decode(self, latents):
        """What is decoded whole is not clamped here, as tiles are not."""
        frame = latents[:, :, None]
        if max(latents.shape[2:]) > SIDE // FACTOR:
            return self.vae.decode(frame).sample[:, :, 0]
        return self.vae.decoder(self.vae.post_quant_conv(frame))[:, :, 0]


KINDS = {
    "AutoencoderKL": (Flux, instructx_tiny.autoencoder),
    "AutoencoderKLFlux2": (Flux, klein_tiny.make_vae),
    "AutoencoderKLQwenImage": (Qwen, qwen_image_edit_tiny.make_vae),
}
CHANNELS = 4  # of the latents of all three


@pytest.fixture(scope="module", params=KINDS)
def theirs(request):
    kind, make = KINDS[request.param]
    torch.manual_seed(0)
    vae = make().eval().requires_grad_(False)
    shake(vae)
    return kind(vae)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ("encode", "decode"))
def test_tiles_are_those_of_diffusers(theirs, name, size):
    """diffusers does not cut what is as small as a tile."""
    torch.manual_seed(1)
    shape = (CHANNELS, *(side // FACTOR for side in size)) if name == "decode" else (3, *size)
    array = torch.randn(2, *shape)
    unit = FACTOR if name == "decode" else 1
    network = getattr(theirs, name)
    expected = network(array).numpy()
    tiling = Tiling(SIDE // unit, STRIDE // unit)
    got = tiling.run(lambda tile: network(torch.from_numpy(tile)).numpy(), array.numpy())
    np.testing.assert_allclose(got, expected, atol=1e-4 * np.abs(expected).max())
    theirs.vae.disable_tiling()
    whole = network(array).numpy()
    theirs.vae.enable_tiling()
    assert got.shape == whole.shape
    assert not np.allclose(got, whole, atol=1e-4 * np.abs(whole).max())

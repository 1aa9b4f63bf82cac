"""The modules of the stage `vae_encoder`, by the class of the autoencoder."""

from __future__ import annotations

from typing import Any

from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2
from diffusers.models.autoencoders.autoencoder_kl_qwenimage import AutoencoderKLQwenImage
from torch import nn

from retouch.networks import autoencoder_flux2, autoencoder_kl, autoencoder_qwen_image


def encoder(networks: dict[str, Any], settings: dict[str, Any]) -> nn.Module:
    """Pixels [B, 3, H, W] in −1..1 → normalised latents, of the network `vae`."""
    vae = networks["vae"]
    if isinstance(vae, AutoencoderKLQwenImage):
        return autoencoder_qwen_image.Encoder(autoencoder_qwen_image.for_one_frame(vae))
    if isinstance(vae, AutoencoderKLFlux2):
        return autoencoder_flux2.Encoder(vae)
    assert isinstance(vae, AutoencoderKL)
    return autoencoder_kl.Encoder(vae)


PASSES = {"model": encoder}

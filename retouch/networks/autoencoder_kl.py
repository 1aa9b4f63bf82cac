"""An AutoencoderKL between pixels and normalised latents.

The network computes in its own type, and the normalisation in float32."""

from __future__ import annotations

from typing import cast

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2
from torch import Tensor, nn


class Encoder(nn.Module):
    """Pixels [B, 3, H, W] in −1..1 → latents [B, C, h, w], the mode of the posterior."""

    outputs = ("latents",)

    def __init__(self, vae: AutoencoderKL):
        super().__init__()
        self.vae = vae

    def forward(self, pixels: Tensor) -> Tensor:
        config = self.vae.config
        return (encoded(self.vae, pixels) - config["shift_factor"]) * config["scaling_factor"]


class Decoder(nn.Module):
    """Latents [B, C, h, w] → pixels [B, 3, H, W] in −1..1."""

    outputs = ("pixels",)

    def __init__(self, vae: AutoencoderKL):
        super().__init__()
        self.vae = vae

    def forward(self, latents: Tensor) -> Tensor:
        config = self.vae.config
        return decoded(self.vae, latents / config["scaling_factor"] + config["shift_factor"])


def encoded(vae: AutoencoderKL | AutoencoderKLFlux2, pixels: Tensor) -> Tensor:
    """The mode of the posterior of `pixels`, float32 and not normalised."""
    # diffusers declares a FloatTensor, and takes any tensor
    typed = cast(torch.FloatTensor, pixels.to(vae.dtype))
    return vae.encode(typed, return_dict=False)[0].mode().float()


def decoded(vae: AutoencoderKL | AutoencoderKLFlux2, latents: Tensor) -> Tensor:
    """The pixels, float32, of latents that are not normalised."""
    typed = cast(torch.FloatTensor, latents.to(vae.dtype))
    return vae.decode(typed, return_dict=False)[0].float()

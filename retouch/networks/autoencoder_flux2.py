"""An AutoencoderKLFlux2 between pixels and FLUX.2's latents: patches of two by two, normalised by
the autoencoder's batch norm. A patch is a token.

The network computes in its own type, and the normalisation in float32."""

from __future__ import annotations

import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2
from torch import Tensor, nn

from retouch.networks.autoencoder_kl import decoded, encoded

PATCH = 2  # latents of a token in each direction


class Encoder(nn.Module):
    """Pixels [B, 3, H, W] in −1..1 → latents [B, 4C, H/16, W/16]: patches of the posterior's mode,
    normalised by the statistics of the autoencoder's batch norm."""

    outputs = ("latents",)

    def __init__(self, vae: AutoencoderKLFlux2):
        super().__init__()
        self.vae = vae

    def forward(self, pixels: Tensor) -> Tensor:
        mean, std = mean_and_std(self.vae)
        return (F.pixel_unshuffle(encoded(self.vae, pixels), PATCH) - mean) / std


class Decoder(nn.Module):
    """Latents [B, 4C, h, w] as by the encoder → pixels [B, 3, 16h, 16w] in −1..1."""

    outputs = ("pixels",)

    def __init__(self, vae: AutoencoderKLFlux2):
        super().__init__()
        self.vae = vae

    def forward(self, latents: Tensor) -> Tensor:
        mean, std = mean_and_std(self.vae)
        return decoded(self.vae, F.pixel_shuffle(latents * std + mean, PATCH))


def mean_and_std(vae: AutoencoderKLFlux2) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every channel of a patch, both float32 [1, 4C, 1, 1]."""
    mean = vae.bn.get_buffer("running_mean").float().view(1, -1, 1, 1)
    variance = vae.bn.get_buffer("running_var").float().view(1, -1, 1, 1)
    return mean, (variance + vae.config["batch_norm_eps"]).sqrt()

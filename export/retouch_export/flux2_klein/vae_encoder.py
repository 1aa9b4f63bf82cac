"""The model `vae_encoder` of FLUX.2 klein: pixels to normalised patches of the posterior's mode.
A patch is a token."""

from __future__ import annotations

import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2
from torch import Tensor, nn

from retouch_export.checkpoint import Checkpoint
from retouch_export.flux2_klein.latents import PATCH, factor, mean_and_std
from retouch_export.graph import Graph
from retouch_export.instructx.vae_encoder import encoding
from retouch_export.parts import Part


class Encoder(nn.Module):
    """Pixels [B, 3, H, W] in −1..1 → latents [B, 4C, H/16, W/16]: patches of two by two, normalised
    by the statistics of the autoencoder's batch norm."""

    def __init__(self, vae: AutoencoderKLFlux2):
        super().__init__()
        self.vae = vae

    def forward(self, pixels: Tensor) -> Tensor:
        mean, std = mean_and_std(self.vae)
        posterior = self.vae.encode(pixels, return_dict=False)[0]
        return (F.pixel_unshuffle(posterior.mode(), PATCH) - mean) / std


class VaeEncoder(Part):
    """The encoder's only graph, `model`."""

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        factor(checkpoint)  # refuses a token of another size before anything is exported
        return encoding(Encoder(checkpoint.load(AutoencoderKLFlux2, "vae")))


PART = VaeEncoder()

"""The model `vae_decoder` of FLUX.2 klein: normalised patches of latents to pixels."""

from __future__ import annotations

import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2
from torch import Tensor, nn

from retouch_export.checkpoint import Checkpoint
from retouch_export.flux2_klein.latents import PATCH, factor, mean_and_std
from retouch_export.graph import Graph
from retouch_export.instructx.vae_decoder import decoded, decoding
from retouch_export.parts import Part


class Decoder(nn.Module):
    """Latents [B, 4C, h, w] as by the encoder → pixels [B, 3, 16h, 16w] in −1..1."""

    def __init__(self, vae: AutoencoderKLFlux2):
        super().__init__()
        self.vae = vae

    def forward(self, latents: Tensor) -> Tensor:
        mean, std = mean_and_std(self.vae)
        patches = F.pixel_shuffle(latents * std + mean, PATCH)
        return decoded(self.vae, patches)


class VaeDecoder(Part):
    """The decoder's only graph, `model`."""

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        vae = checkpoint.load(AutoencoderKLFlux2, "vae")
        return decoding(Decoder(vae), vae.config.latent_channels * PATCH**2, factor(checkpoint))


PART = VaeDecoder()

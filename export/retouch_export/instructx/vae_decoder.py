"""The model `vae_decoder` of InstructX: normalised latents to pixels."""

from __future__ import annotations

from typing import Any, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2
from torch import Tensor, nn

from retouch_export.checkpoint import Checkpoint
from retouch_export.graph import Graph, Shape
from retouch_export.parts import Part


class Decoder(nn.Module):
    """Latents [B, C, h, w] → pixels [B, 3, H, W] in −1..1."""

    def __init__(self, vae: AutoencoderKL):
        super().__init__()
        self.vae = vae

    def forward(self, latents: Tensor) -> Tensor:
        config = self.vae.config
        return decoded(self.vae, latents / config["scaling_factor"] + config["shift_factor"])


def decoded(vae: AutoencoderKL | AutoencoderKLFlux2, latents: Tensor) -> Tensor:
    """The pixels of unscaled latents."""
    # diffusers declares a FloatTensor, and takes any tensor
    return vae.decode(cast(torch.FloatTensor, latents), return_dict=False)[0]


def decoding(decoder: nn.Module, channels: int, factor: int) -> list[Graph]:
    """The graph of any family's decoder: `latents` [B, channels, H / factor, W / factor] →
    pixels."""

    def inputs(shape: Shape) -> dict[str, Tensor]:
        return {
            "latents": torch.randn(
                shape.batch, channels, shape.height // factor, shape.width // factor
            )
        }

    axes = {"latents": {0: "batch", 2: "height", 3: "width"}}
    return [Graph("model", decoder, inputs, axes, ("pixels",))]


def vae_factor(config: dict[str, Any]) -> int:
    """Pixels of a latent in each direction, by an AutoencoderKL's config."""
    return 2 ** (len(config["block_out_channels"]) - 1)


class VaeDecoder(Part):
    """The decoder's only graph, `model`."""

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        vae = checkpoint.load(AutoencoderKL, "vae")
        return decoding(Decoder(vae), vae.config.latent_channels, vae_factor(vae.config))


PART = VaeDecoder()

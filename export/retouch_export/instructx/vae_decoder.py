"""The model `vae_decoder` of InstructX: normalised latents to pixels."""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor, nn

from retouch.networks import vae_decoder
from retouch.networks.autoencoder_kl import Decoder
from retouch_export.checkpoint import Checkpoint
from retouch_export.graph import Graph, Shape
from retouch_export.parts import Part


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
    return [Graph("model", decoder, inputs, axes, Decoder.outputs)]


def vae_factor(config: dict[str, Any]) -> int:
    """Pixels of a latent in each direction, by an AutoencoderKL's config."""
    return 2 ** (len(config["block_out_channels"]) - 1)


class VaeDecoder(Part):
    """The decoder's only graph, `model`."""

    passes = vae_decoder.__name__
    networks = {"vae": AutoencoderKL}

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        vae = checkpoint.load(AutoencoderKL, "vae")
        return decoding(Decoder(vae), vae.config.latent_channels, vae_factor(vae.config))

    def settings(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """Pixels of a latent in each direction, for decoding in tiles."""
        return {"factor": vae_factor(checkpoint.json("vae/config.json"))}


PART = VaeDecoder()

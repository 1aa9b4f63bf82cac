"""The model `vae_encoder` of InstructX: pixels to the normalised mode of the posterior."""

from __future__ import annotations

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor, nn

from retouch_export.checkpoint import Checkpoint
from retouch_export.graph import Graph, Shape
from retouch_export.parts import Part


class Encoder(nn.Module):
    """Pixels [B, 3, H, W] in −1..1 → latents [B, C, h, w]."""

    def __init__(self, vae: AutoencoderKL):
        super().__init__()
        self.vae = vae

    def forward(self, pixels: Tensor) -> Tensor:
        latents = self.vae.encode(pixels, return_dict=False)[0].mode()
        config = self.vae.config
        return (latents - config["shift_factor"]) * config["scaling_factor"]


def encoding(encoder: nn.Module) -> list[Graph]:
    """The graph of any family's encoder: `pixels` [B, 3, H, W] in −1..1 → latents."""

    def inputs(shape: Shape) -> dict[str, Tensor]:
        return {"pixels": torch.rand(shape.batch, 3, shape.height, shape.width) * 2 - 1}

    axes = {"pixels": {0: "batch", 2: "height", 3: "width"}}
    return [Graph("model", encoder, inputs, axes, ("latents",))]


class VaeEncoder(Part):
    """The encoder's only graph, `model`."""

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        return encoding(Encoder(checkpoint.load(AutoencoderKL, "vae")))


PART = VaeEncoder()

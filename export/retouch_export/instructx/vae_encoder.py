"""The model `vae_encoder` of InstructX: pixels to the normalised mode of the posterior."""

from __future__ import annotations

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor, nn

from retouch.networks import vae_encoder
from retouch.networks.autoencoder_kl import Encoder
from retouch_export.checkpoint import Checkpoint
from retouch_export.graph import Graph, Shape
from retouch_export.parts import Part


def encoding(encoder: nn.Module, channels: int = 3) -> list[Graph]:
    """The graph of any family's encoder: `pixels` [B, channels, H, W] in −1..1 → latents."""

    def inputs(shape: Shape) -> dict[str, Tensor]:
        return {"pixels": torch.rand(shape.batch, channels, shape.height, shape.width) * 2 - 1}

    axes = {"pixels": {0: "batch", 2: "height", 3: "width"}}
    return [Graph("model", encoder, inputs, axes, Encoder.outputs)]


class VaeEncoder(Part):
    """The encoder's only graph, `model`."""

    passes = vae_encoder.__name__
    networks = {"vae": AutoencoderKL}

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        return encoding(Encoder(checkpoint.load(AutoencoderKL, "vae")))


PART = VaeEncoder()

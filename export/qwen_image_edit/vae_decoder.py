"""The autoencoder's decoder: normalised latents to pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLQwenImage
from torch import Tensor, nn

from export.checkpoint import Checkpoint
from export.graph import Graph, Shape
from export.qwen_image_edit.frame import Normal, factor, load


class Decoder(nn.Module):
    def __init__(self, vae: AutoencoderKLQwenImage):
        super().__init__()
        self.decoder, self.quant, self.normal = vae.decoder, vae.post_quant_conv, Normal(vae)

    def forward(self, latents: Tensor) -> Tensor:
        return self.decoder(self.quant(self.normal.inverse(latents).unsqueeze(2))).squeeze(2).clamp(-1, 1)


def graphs(checkpoint: Checkpoint) -> list[Graph]:
    vae = load(checkpoint)
    pixels = factor(vae.config)

    def inputs(shape: Shape) -> dict[str, Tensor]:
        return {"latents": torch.randn(shape.batch, vae.config.z_dim, shape.height // pixels, shape.width // pixels)}

    axes = {"latents": {0: "batch", 2: "height", 3: "width"}}
    return [Graph("model", Decoder(vae), inputs, axes, ("pixels",))]


def settings(checkpoint: Checkpoint) -> dict[str, Any]:
    return {"factor": factor(checkpoint.json("vae/config.json"))}


def files(checkpoint: Checkpoint, folder: Path) -> None:
    """No files beside the graph."""

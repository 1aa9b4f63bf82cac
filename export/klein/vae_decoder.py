"""FLUX.2's decoder: normalised patches of latents to pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLFlux2
from torch import Tensor, nn

from export.checkpoint import Checkpoint
from export.graph import Graph, Shape
from export.klein.latents import PATCH, factor, mean_and_std


class Decoder(nn.Module):
    """Latents as `export.klein.vae_encoder.Encoder` gives them → pixels [B, 3, 16h, 16w] in −1..1."""

    def __init__(self, vae: AutoencoderKLFlux2):
        super().__init__()
        self.vae = vae

    def forward(self, latents: Tensor) -> Tensor:
        mean, std = mean_and_std(self.vae)
        return self.vae.decode(F.pixel_shuffle(latents * std + mean, PATCH)).sample


def graphs(checkpoint: Checkpoint) -> list[Graph]:
    vae = checkpoint.load(AutoencoderKLFlux2, "vae")
    pixels, channels = factor(checkpoint), vae.config.latent_channels * PATCH**2

    def inputs(shape: Shape) -> dict[str, Tensor]:
        return {"latents": torch.randn(shape.batch, channels, shape.height // pixels, shape.width // pixels)}

    axes = {"latents": {0: "batch", 2: "height", 3: "width"}}
    return [Graph("model", Decoder(vae), inputs, axes, ("pixels",))]


def settings(checkpoint: Checkpoint) -> dict[str, Any]:
    return {"factor": factor(checkpoint)}


def files(checkpoint: Checkpoint, folder: Path) -> None:
    """No files beside the graph."""

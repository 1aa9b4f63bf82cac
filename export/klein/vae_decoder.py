"""FLUX.2's decoder: normalised patches of latents to pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch.nn.functional as F
from diffusers import AutoencoderKLFlux2
from torch import Tensor, nn

from export.checkpoint import Checkpoint
from export.graph import Graph
from export.klein.latents import PATCH, factor, mean_and_std
from export.vae_decoder import decoding


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
    return decoding(Decoder(vae), vae.config.latent_channels * PATCH**2, factor(checkpoint))


def settings(checkpoint: Checkpoint) -> dict[str, Any]:
    return {}


def files(checkpoint: Checkpoint, folder: Path) -> None:
    """No files beside the graph."""

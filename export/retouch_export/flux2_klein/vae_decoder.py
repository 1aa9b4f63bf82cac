"""FLUX.2's decoder: normalised patches of latents to pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch.nn.functional as F
from diffusers import AutoencoderKLFlux2
from torch import Tensor, nn

from retouch_export.checkpoint import Checkpoint
from retouch_export.flux2_klein.latents import PATCH, factor, mean_and_std
from retouch_export.graph import Graph
from retouch_export.instructx.vae_decoder import decoding


class Decoder(nn.Module):
    """Latents as `retouch_export.flux2_klein.vae_encoder.Encoder` gives them → pixels [B, 3, 16h,
    16w] in −1..1."""

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

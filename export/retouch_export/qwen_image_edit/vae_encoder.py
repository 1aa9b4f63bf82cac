"""The autoencoder's encoder: pixels to the normalised mode of the posterior."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffusers import AutoencoderKLQwenImage
from torch import Tensor, nn

from retouch_export.checkpoint import Checkpoint
from retouch_export.graph import Graph
from retouch_export.instructx.vae_encoder import encoding
from retouch_export.qwen_image_edit.frame import Normal, load


class Encoder(nn.Module):
    def __init__(self, vae: AutoencoderKLQwenImage):
        super().__init__()
        self.encoder = vae.encoder
        self.quant = vae.quant_conv
        self.normal = Normal(vae)

    def forward(self, pixels: Tensor) -> Tensor:
        mode, _ = self.quant(self.encoder(pixels.unsqueeze(2))).chunk(2, 1)
        return self.normal(mode.squeeze(2))


def graphs(checkpoint: Checkpoint) -> list[Graph]:
    return encoding(Encoder(load(checkpoint)))


def settings(checkpoint: Checkpoint) -> dict[str, Any]:
    return {}


def files(checkpoint: Checkpoint, folder: Path) -> None:
    """No files beside the graph."""

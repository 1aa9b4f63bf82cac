"""FLUX.1 Kontext's transformer: one graph, because its reference tokens are in full attention with the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import FluxTransformer2DModel
from torch import Tensor, nn

from export.checkpoint import Checkpoint
from export.graph import Graph, Shape
from retouch.types import MAX_STEPS

FOLDER = "transformer"
CELL = 16  # pixels: 8 of the autoencoder, two by two of its latents to a token


class Step(nn.Module):
    """`tokens` [B, S, C] are the target's, then the reference's; the velocity [B, S, C] counts for the target's.

    `ids` [S, 3] and `text_ids` [T, 3] are diffusers' (the reference's have a 1 first), `guidance` [B] the distilled one's
    strength. Timesteps are shares of 1 and rounded to the network's type before they are multiplied by 1000, as
    `FluxKontextPipeline` gives them.
    """

    def __init__(self, model: FluxTransformer2DModel):
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, text: Tensor, pooled: Tensor, timestep: Tensor, guidance: Tensor, ids: Tensor,
                text_ids: Tensor) -> Tensor:
        kind = self.model.dtype
        return self.model(
            hidden_states=tokens.to(kind), encoder_hidden_states=text.to(kind), pooled_projections=pooled.to(kind),
            timestep=timestep.to(kind), guidance=guidance, img_ids=ids, txt_ids=text_ids, return_dict=False)[0].float()


def graphs(checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
    """With the checkpoint's weights, rounded to bfloat16, in float32 or, in `outline`, without any in bfloat16."""
    model = checkpoint.typed(FluxTransformer2DModel, FOLDER, outline)
    config = model.config

    def inputs(shape: Shape) -> dict[str, Tensor]:
        cells = 2 * (shape.height // CELL) * (shape.width // CELL)
        return {
            "tokens": torch.randn(shape.batch, cells, config.in_channels),
            "text": torch.randn(shape.batch, shape.text, config.joint_attention_dim),
            "pooled": torch.randn(shape.batch, config.pooled_projection_dim),
            "timestep": torch.linspace(1, 0.1, shape.batch),
            "guidance": torch.full((shape.batch,), 2.5),
            "ids": torch.randint(0, 16, (cells, 3)).float(),
            "text_ids": torch.zeros(shape.text, 3),
        }

    axes = {"tokens": {0: "batch", 1: "cells"}, "text": {0: "batch", 1: "words"}, "pooled": {0: "batch"},
            "timestep": {0: "batch"}, "guidance": {0: "batch"}, "ids": {0: "cells"}, "text_ids": {0: "words"}}
    return [Graph("step", Step(model), inputs, axes, ("velocity",))]


def settings(checkpoint: Checkpoint) -> dict[str, Any]:
    return {"default_steps": 28, "max_steps": MAX_STEPS}


def files(checkpoint: Checkpoint, folder: Path) -> None:
    """No files beside the graph."""

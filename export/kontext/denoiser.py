"""FLUX.1 Kontext's transformer: one graph, because its reference tokens are in full attention with the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, FluxTransformer2DModel
from torch import Tensor

from export import preview
from export.checkpoint import Checkpoint
from export.graph import Graph, Shape
from export.kontext.text import lengths
from export.vae_decoder import vae_factor
from export.vae_encoder import Encoder
from retouch.families.kontext import Kontext, step_ids
from retouch.latents import pack
from retouch.passes.kontext import Step
from retouch.schedule import Schedule
from retouch.types import CELL

FOLDER = "transformer"
STEPS, GUIDANCE = 28, 2.5  # the pipeline's number of steps, and the guidance of its own example


def graphs(checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
    """With the checkpoint's weights, rounded to bfloat16, in float32 or, in `outline`, without any in bfloat16."""
    model = checkpoint.typed(FluxTransformer2DModel, FOLDER, outline)
    config = model.config

    def inputs(shape: Shape) -> dict[str, Tensor]:
        ids = torch.from_numpy(step_ids((shape.height // CELL, shape.width // CELL)))
        given = {
            "tokens": torch.randn(shape.batch, len(ids), config.in_channels),
            "text": torch.randn(shape.batch, shape.text, config.joint_attention_dim),
            "pooled": torch.randn(shape.batch, config.pooled_projection_dim),
            "timestep": torch.linspace(1, 0.1, shape.batch),
            "ids": ids.repeat(shape.batch, 1, 1),
            "text_ids": torch.zeros(shape.batch, shape.text, 3),
        }
        return given | ({"guidance": torch.full((shape.batch,), GUIDANCE)} if config.guidance_embeds else {})

    axes = {"tokens": {0: "batch", 1: "cells"}, "text": {0: "batch", 1: "words"}, "pooled": {0: "batch"},
            "timestep": {0: "batch"}, "ids": {0: "batch", 1: "cells"}, "text_ids": {0: "batch", 1: "words"},
            "guidance": {0: "batch"}}
    return [Graph("step", Step(model), inputs, axes, ("velocity",))]


def settings(checkpoint: Checkpoint) -> dict[str, Any]:
    """ValueError for a scheduler that `retouch.schedule` does not follow."""
    vae, transformer = checkpoint.json("vae/config.json"), checkpoint.json(f"{FOLDER}/config.json")
    scheduler = checkpoint.json("scheduler/scheduler_config.json")
    Schedule.of(scheduler)
    return {
        "scheduler": scheduler,
        "transformer": transformer,
        "cell": Kontext.patch * vae_factor(vae),
        "words": lengths(checkpoint)[1],
        "latent_channels": vae["latent_channels"],
        "guidance_embeds": transformer.get("guidance_embeds", False),
        "default_guidance": GUIDANCE,
        "default_steps": STEPS,
    }


def files(checkpoint: Checkpoint, folder: Path) -> None:
    """The map for previews."""
    encoder = Encoder(checkpoint.load(AutoencoderKL, "vae"))

    @torch.no_grad()
    def tokens(pixels: np.ndarray) -> np.ndarray:
        return pack(encoder(torch.from_numpy(pixels[None])).numpy(), Kontext.patch)[0]

    preview.write(folder, tokens)

"""FLUX.2 klein's transformer: `reference`, once an image, and `step`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import Flux2Transformer2DModel
from torch import Tensor

from retouch.families.flux2_klein.sampling import text_ids
from retouch.families.flux2_klein.text import LENGTH
from retouch_export import preview
from retouch_export.checkpoint import Checkpoint
from retouch_export.flux2_klein.vae_encoder import graphs as encoders
from retouch_export.graph import Graph, Shape
from retouch_export.kv_graphs import prefixed

FOLDER = "transformer"


def graphs(checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
    """With the checkpoint's weights, rounded to bfloat16, in float32 or, in `outline`, without any
    in bfloat16."""
    model = checkpoint.typed(Flux2Transformer2DModel, FOLDER, outline)

    def said(shape: Shape, count: int) -> dict[str, Tensor]:
        return {
            "conditioning": torch.randn(shape.batch, LENGTH, model.config.joint_attention_dim),
            "conditioning_ids": torch.from_numpy(text_ids(LENGTH)).repeat(shape.batch, 1, 1),
        }

    return prefixed(model, "velocity", said)


def settings(checkpoint: Checkpoint) -> dict[str, Any]:
    transformer = checkpoint.json(f"{FOLDER}/config.json")
    return {
        "scheduler": checkpoint.json("scheduler/scheduler_config.json"),
        "prediction": "velocity",
        "transformer": transformer,  # for a runner that makes the network itself
        "default_steps": 4,  # the pipeline's
        "latent_channels": transformer["in_channels"],
        "conditioning": [LENGTH, transformer["joint_attention_dim"]],
    }


def files(checkpoint: Checkpoint, folder: Path) -> None:
    encoder = encoders(checkpoint)[0].module

    def tokens_of(pixels: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return encoder(torch.from_numpy(pixels[None])).flatten(2)[0].T.numpy()

    preview.write(folder, tokens_of)

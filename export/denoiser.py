"""The diffusion transformer's two graphs: `reference`, once an image, and `step`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import Flux2Transformer2DModel
from safetensors.torch import load_file
from torch import Tensor

from export.checkpoint import Checkpoint
from export.graph import Graph, Shape
from export.prefixed import grid, prefixed
from export.vae_decoder import vae_factor
from retouch.latents import conditioning_ids
from retouch.preview import FILE
from retouch.types import CELL, MAX_STEPS

FOLDER = "transformer"
PREDICTIONS = ("velocity", "sample")


def graphs(checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
    """With the checkpoint's weights, rounded to bfloat16, in float32 or, in `outline`, without any in bfloat16."""
    model = checkpoint.typed(Flux2Transformer2DModel, FOLDER, outline)
    parser = checkpoint.json("parser_heads/config.json")
    queries, slots = parser["queries"], parser["slots"]

    def said(shape: Shape, count: int) -> dict[str, Tensor]:
        boxes = np.random.default_rng(0).random((shape.batch, slots, 2, 4), np.float32)
        return {
            "conditioning": torch.randn(shape.batch, queries, model.config.joint_attention_dim),
            "conditioning_ids": torch.from_numpy(conditioning_ids(boxes, grid(shape), queries // slots)),
            "beside": torch.randn(shape.batch, count, model.config.in_channels - model.out_channels),
        }

    return prefixed(model, prediction(checkpoint), said)


def settings(checkpoint: Checkpoint) -> dict[str, Any]:
    scheduler = checkpoint.json("scheduler/scheduler_config.json")
    return {
        "patch": CELL // vae_factor(checkpoint.json("vae/config.json")),
        "slots": checkpoint.json("parser_heads/config.json")["slots"],
        "shift": scheduler["shift"],
        "prediction": prediction(checkpoint),
        "transformer": checkpoint.json(f"{FOLDER}/config.json"),  # for a runner that makes the network itself
        "default_steps": checkpoint.config["default_steps"],
        "max_steps": MAX_STEPS,
        "latent_channels": checkpoint.json("vae/config.json")["latent_channels"],
        "conditioning": [checkpoint.json("parser_heads/config.json")["queries"],
                         checkpoint.json(f"{FOLDER}/config.json")["joint_attention_dim"]],
    }


def files(checkpoint: Checkpoint, folder: Path) -> None:
    preview = load_file(checkpoint.file("preview.safetensors"))
    np.savez(folder / FILE, **{name: preview[name].float().numpy() for name in ("weight", "bias")})


def prediction(checkpoint: Checkpoint) -> str:
    """What the transformer predicts: the velocity, or the clean tokens ("sample")."""
    kind = checkpoint.config["prediction"]
    if kind not in PREDICTIONS:
        raise ValueError(f"the checkpoint's prediction is {kind!r}; it must be {' or '.join(PREDICTIONS)}")
    return kind


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
from export.vae_decoder import vae_factor
from retouch.latents import conditioning_ids, reference_ids, target_ids
from retouch.passes import Reference, Step
from retouch.preview import FILE
from retouch.types import CELL, MAX_STEPS

FOLDER = "transformer"
PREDICTIONS = ("velocity", "sample")


def graphs(checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
    """With the checkpoint's weights, rounded to bfloat16, in float32 or, in `outline`, without any in bfloat16."""
    model = checkpoint.typed(Flux2Transformer2DModel, FOLDER, outline)
    parser = checkpoint.json("parser_heads/config.json")
    queries, slots = parser["queries"], parser["slots"]
    layers = len(model.transformer_blocks) + len(model.single_transformer_blocks)
    heads, size, width = model.config.num_attention_heads, model.config.attention_head_dim, model.out_channels

    def source(shape: Shape) -> dict[str, Tensor]:
        ids = torch.from_numpy(reference_ids(_grid(shape)))
        return {"tokens": torch.randn(shape.batch, len(ids), width),
                "ids": ids.repeat(shape.batch, 1, 1)}

    def target(shape: Shape) -> dict[str, Tensor]:
        batch, every = shape.batch, torch.from_numpy(target_ids(_grid(shape)))
        chosen = [torch.randperm(len(every))[:shape.region].sort().values for _ in range(batch)]
        ids = torch.stack([every[cells] for cells in chosen])
        boxes = np.random.default_rng(0).random((batch, slots, 2, 4), np.float32)
        prefix = batch, layers, len(every), heads, size
        return {
            "tokens": torch.randn(batch, ids.shape[1], width),
            "beside": torch.randn(batch, ids.shape[1], model.config.in_channels - width),
            "timestep": torch.linspace(1, 0.1, batch),
            "conditioning": torch.randn(batch, queries, model.config.joint_attention_dim),
            "ids": ids,
            "conditioning_ids": torch.from_numpy(conditioning_ids(boxes, _grid(shape), queries // slots)),
            "k": torch.randn(prefix, dtype=model.dtype),
            "v": torch.randn(prefix, dtype=model.dtype),
        }

    source_axes = {"tokens": {0: "batch", 1: "cells"}, "ids": {0: "batch", 1: "cells"}}
    target_axes = {
        "tokens": {0: "batch", 1: "region"}, "beside": {0: "batch", 1: "region"}, "timestep": {0: "batch"},
        "conditioning": {0: "batch"}, "ids": {0: "batch", 1: "region"}, "conditioning_ids": {0: "batch"},
        "k": {0: "batch", 2: "cells"}, "v": {0: "batch", 2: "cells"},
    }
    return [
        Graph("reference", Reference(model), source, source_axes, Reference.outputs),
        Graph("step", Step(model, prediction(checkpoint)), target, target_axes, Step.outputs),
    ]


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


def _grid(shape: Shape) -> tuple[int, int]:
    return shape.height // CELL, shape.width // CELL

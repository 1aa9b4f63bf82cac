"""The model `denoiser` of FLUX.2 klein: one graph, because references are in full attention with
the target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from torch import Tensor

from retouch.diffusion.latents import target_ids
from retouch.families.flux2_klein.sampling import reference_ids, text_ids
from retouch.families.flux2_klein.text import LENGTH
from retouch.networks import flux2_full
from retouch_export import preview
from retouch_export.checkpoint import Checkpoint
from retouch_export.flux2_klein import DISTILLED_STEPS, STEPS, TRUE_CFG
from retouch_export.flux2_klein.vae_encoder import PART as VAE_ENCODER
from retouch_export.graph import Graph, Shape
from retouch_export.kv_graphs import grid
from retouch_export.parts import Part

FOLDER = "transformer"
AXES = {
    "tokens": {0: "batch", 1: "cells"},
    "references": {0: "batch", 1: "others"},
    "timestep": {0: "batch"},
    "conditioning": {0: "batch"},
    "ids": {0: "batch", 1: "all"},
    "conditioning_ids": {0: "batch"},
    "past_k": {0: "batch", 2: "past"},
    "past_v": {0: "batch", 2: "past"},
    "kept": {0: "batch", 1: "kept"},
    "guidance": {0: "batch"},
}
PAST = 6  # tokens of an example whose keys and values are there, and kept by it


def text_inputs(model: Flux2Transformer2DModel, batch: int) -> dict[str, Tensor]:
    """Example inputs of a `step` graph for the prompt embeds."""
    return {
        "conditioning": torch.randn(batch, LENGTH, model.config["joint_attention_dim"]),
        "conditioning_ids": torch.from_numpy(text_ids(LENGTH)).repeat(batch, 1, 1),
    }


class Denoiser(Part):
    """The graph `step`, and the map for previews. With `embeds_guidance` the graph takes a scale of
    guidance."""

    embeds_guidance = False
    component = FOLDER
    passes = flux2_full.__name__
    networks = {FOLDER: Flux2Transformer2DModel}

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        """The weights are rounded to bfloat16 and computed in float32. In `outline` there are none,
        and the graphs compute in bfloat16."""
        model = checkpoint.typed(Flux2Transformer2DModel, FOLDER, outline)
        width = model.config["in_channels"]
        layers, heads, size = _attention(checkpoint)

        def inputs(shape: Shape) -> dict[str, Tensor]:
            target = target_ids(grid(shape))
            # as many tokens as a region, in one row
            ids = np.concatenate([target, reference_ids([(1, shape.region)])])
            text = text_inputs(model, shape.batch)
            scale = torch.full((shape.batch,), TRUE_CFG)
            guidance = {"guidance": scale} if self.embeds_guidance else {}
            past = (shape.batch, layers, PAST, heads, size)
            return {
                "tokens": torch.randn(shape.batch, len(target), width),
                "references": torch.randn(shape.batch, shape.region, width),
                "timestep": torch.linspace(1, 0.1, shape.batch),
                "conditioning": text["conditioning"],
                "ids": torch.from_numpy(ids).repeat(shape.batch, 1, 1),
                "conditioning_ids": text["conditioning_ids"],
                "past_k": torch.randn(past, dtype=model.dtype),
                "past_v": torch.randn(past, dtype=model.dtype),
                "kept": torch.randint(len(ids), (shape.batch, PAST - 1)),
            } | guidance

        return [Graph("step", flux2_full.Step(model), inputs, AXES, flux2_full.Step.outputs)]

    def settings(self, checkpoint: Checkpoint) -> dict[str, Any]:
        transformer = checkpoint.json(f"{FOLDER}/config.json")
        is_distilled = self.is_distilled(checkpoint)
        return {
            "scheduler": checkpoint.json("scheduler/scheduler_config.json"),
            "is_distilled": is_distilled,
            "default_steps": DISTILLED_STEPS if is_distilled else STEPS,
            "default_true_cfg": 1.0 if is_distilled else TRUE_CFG,
            "latent_channels": transformer["in_channels"],
            "conditioning": [LENGTH, transformer["joint_attention_dim"]],
            "attention": _attention(checkpoint),
        }

    def is_distilled(self, checkpoint: Checkpoint) -> bool:
        """Whether the checkpoint takes no guidance: `is_distilled` of `model_index.json`."""
        return bool(checkpoint.config.get("is_distilled", False))

    def files(self, checkpoint: Checkpoint, folder: Path) -> None:
        """Write the map for previews."""
        encoder = VAE_ENCODER.graphs(checkpoint)[0].module
        # a patch is a token
        preview.write_encoded(folder, encoder, lambda latents: latents.reshape(len(latents), -1).T)


def _attention(checkpoint: Checkpoint) -> list[int]:
    """Layers, heads and the size of a head."""
    config = checkpoint.json(f"{FOLDER}/config.json")
    layers = config["num_layers"] + config["num_single_layers"]
    return [layers, config["num_attention_heads"], config["attention_head_dim"]]


PART = Denoiser()

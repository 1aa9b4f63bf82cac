"""The model `denoiser` of FLUX.2 klein: the graphs `reference`, once an image, and `step`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from torch import Tensor

from retouch.families.flux2_klein.sampling import text_ids
from retouch.families.flux2_klein.text import LENGTH
from retouch.networks import flux2_passes
from retouch_export import preview
from retouch_export.checkpoint import Checkpoint
from retouch_export.flux2_klein.vae_encoder import PART as VAE_ENCODER
from retouch_export.graph import Graph, Shape
from retouch_export.kv_graphs import prefixed
from retouch_export.parts import Part

FOLDER = "transformer"


class Denoiser(Part):
    """The graphs `reference` and `step`, and the map for previews."""

    component = FOLDER
    passes = flux2_passes.__name__
    networks = {FOLDER: Flux2Transformer2DModel}

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        """The weights are rounded to bfloat16 and computed in float32. In `outline` there are none,
        and the graphs compute in bfloat16."""
        model = checkpoint.typed(Flux2Transformer2DModel, FOLDER, outline)

        def conditioning(shape: Shape, count: int) -> dict[str, Tensor]:
            return {
                "conditioning": torch.randn(shape.batch, LENGTH, model.config.joint_attention_dim),
                "conditioning_ids": torch.from_numpy(text_ids(LENGTH)).repeat(shape.batch, 1, 1),
            }

        return prefixed(model, "velocity", conditioning)

    def settings(self, checkpoint: Checkpoint) -> dict[str, Any]:
        transformer = checkpoint.json(f"{FOLDER}/config.json")
        return {
            "scheduler": checkpoint.json("scheduler/scheduler_config.json"),
            "prediction": "velocity",
            "default_steps": 4,  # the pipeline's
            "latent_channels": transformer["in_channels"],
            "conditioning": [LENGTH, transformer["joint_attention_dim"]],
        }

    def files(self, checkpoint: Checkpoint, folder: Path) -> None:
        encoder = VAE_ENCODER.graphs(checkpoint)[0].module

        def tokens_of(pixels: np.ndarray) -> np.ndarray:
            with torch.no_grad():
                return encoder(torch.from_numpy(pixels[None])).flatten(2)[0].T.numpy()

        preview.write(folder, tokens_of)


PART = Denoiser()

"""The model `denoiser` of FLUX.1 Kontext: one graph, because reference tokens are in full attention
with the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from torch import Tensor

from retouch.api.geometry import CELL
from retouch.diffusion.latents import pack
from retouch.diffusion.sigmas import Schedule
from retouch.families.flux_kontext.sampling import Family, step_ids
from retouch.networks import flux_kontext
from retouch.networks.autoencoder_kl import Encoder
from retouch_export import preview
from retouch_export.checkpoint import Checkpoint
from retouch_export.flux_kontext.vl_parser import lengths
from retouch_export.graph import Graph, Shape
from retouch_export.instructx.vae_decoder import vae_factor
from retouch_export.parts import Part

FOLDER = "transformer"
STEPS = 28  # the pipeline's
GUIDANCE = 2.5  # of the pipeline's example


class Denoiser(Part):
    """The graph `step`, and the map for previews."""

    component = FOLDER
    passes = flux_kontext.__name__
    networks = {FOLDER: FluxTransformer2DModel}

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        """The weights are rounded to bfloat16 and computed in float32. In `outline` there are none,
        and the graphs compute in bfloat16."""
        model = checkpoint.typed(FluxTransformer2DModel, FOLDER, outline)
        config = model.config

        def inputs(shape: Shape) -> dict[str, Tensor]:
            ids = torch.from_numpy(step_ids((shape.height // CELL, shape.width // CELL)))
            inputs = {
                "tokens": torch.randn(shape.batch, len(ids), config.in_channels),
                "text": torch.randn(shape.batch, shape.text, config.joint_attention_dim),
                "pooled": torch.randn(shape.batch, config.pooled_projection_dim),
                "timestep": torch.linspace(1, 0.1, shape.batch),
                "ids": ids.repeat(shape.batch, 1, 1),
                "text_ids": torch.zeros(shape.batch, shape.text, 3),
            }
            if config.guidance_embeds:
                inputs["guidance"] = torch.full((shape.batch,), GUIDANCE)
            return inputs

        axes = {
            "tokens": {0: "batch", 1: "cells"},
            "text": {0: "batch", 1: "words"},
            "pooled": {0: "batch"},
            "timestep": {0: "batch"},
            "ids": {0: "batch", 1: "cells"},
            "text_ids": {0: "batch", 1: "words"},
            "guidance": {0: "batch"},
        }
        return [Graph("step", flux_kontext.Step(model), inputs, axes, ("velocity",))]

    def settings(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """ValueError for a scheduler that `retouch.diffusion.sigmas` does not support."""
        vae = checkpoint.json("vae/config.json")
        transformer = checkpoint.json(f"{FOLDER}/config.json")
        scheduler = checkpoint.json("scheduler/scheduler_config.json")
        Schedule.of(scheduler)
        return {
            "scheduler": scheduler,
            "transformer": transformer,
            "cell": Family.patch * vae_factor(vae),
            "words": lengths(checkpoint)[1],
            "latent_channels": vae["latent_channels"],
            "guidance_embeds": transformer.get("guidance_embeds", False),
            "default_guidance": GUIDANCE,
            "default_steps": STEPS,
        }

    def files(self, checkpoint: Checkpoint, folder: Path) -> None:
        """Write the map for previews."""
        encoder = Encoder(checkpoint.load(AutoencoderKL, "vae"))
        preview.write_encoded(folder, encoder, lambda latents: pack(latents[None], Family.patch)[0])


PART = Denoiser()

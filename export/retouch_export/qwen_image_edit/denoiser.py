"""The model `denoiser` of Qwen-Image-Edit: one graph, because references are in full attention with
the target."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers.models.transformers.transformer_qwenimage import QwenImageTransformer2DModel
from torch import Tensor

from retouch.api.geometry import CELL
from retouch.families.qwen_image_edit.sampling import Family
from retouch.networks import qwen_image
from retouch.networks.autoencoder_qwen_image import Encoder
from retouch_export.checkpoint import Checkpoint
from retouch_export.graph import Graph, Shape
from retouch_export.parts import Part
from retouch_export.preview import write_encoded
from retouch_export.qwen_image_edit.frame import factor, load
from retouch_export.qwen_image_edit.pipelines import pipeline_of
from retouch_export.qwen_vl import patch_layout

FOLDER = "transformer"
# options of the class that no checkpoint for editing uses
UNSUPPORTED = ("guidance_embeds", "use_additional_t_cond", "use_layer3d_rope")


class Denoiser(Part):
    """The graph `step`, and the map for previews."""

    component = FOLDER
    passes = qwen_image.__name__
    networks = {FOLDER: QwenImageTransformer2DModel}

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        """The weights are rounded to bfloat16 and computed in float32. In `outline` there are none,
        and the graphs compute in bfloat16. ValueError for a transformer with other options."""
        unsupported = [
            name for name in UNSUPPORTED if checkpoint.json(f"{FOLDER}/config.json").get(name)
        ]
        if unsupported:
            raise ValueError(
                f"the checkpoint's transformer has {unsupported[0]}, which is not supported"
            )
        model = checkpoint.typed(QwenImageTransformer2DModel, FOLDER, outline)
        config = model.config

        def inputs(shape: Shape) -> dict[str, Tensor]:
            cells = shape.height // CELL * (shape.width // CELL)

            def rope_table(count: int) -> Tensor:
                angle = torch.rand(shape.batch, count, config.attention_head_dim // 2) * 6
                return torch.stack([angle.cos(), angle.sin()], 2)

            return {
                "tokens": torch.randn(shape.batch, cells, config.in_channels),
                "references": torch.randn(shape.batch, shape.region, config.in_channels),
                "text": torch.randn(shape.batch, shape.text, config.joint_attention_dim),
                "timestep": torch.linspace(1000, 100, shape.batch),
                "rope": rope_table(cells + shape.region),
                "text_rope": rope_table(shape.text),
            }

        text = {0: "batch", 1: "words"}
        axes = {
            "tokens": {0: "batch", 1: "cells"},
            "references": {0: "batch", 1: "others"},
            "text": text,
            "timestep": {0: "batch"},
            "rope": {0: "batch", 1: "all"},
            "text_rope": text,
        }
        return [Graph("step", qwen_image.Step(model), inputs, axes, ("velocity",))]

    def settings(self, checkpoint: Checkpoint) -> dict[str, Any]:
        config = checkpoint.json(f"{FOLDER}/config.json")
        vae = checkpoint.json("vae/config.json")
        pipeline = pipeline_of(checkpoint)
        return {
            "patch": config["patch_size"],
            "axes": config["axes_dims_rope"],
            "factor": factor(vae),
            "latent_channels": vae["z_dim"],
            "conditioning": config["joint_attention_dim"],
            "area": pipeline.area,
            "photos": pipeline.photos,
            "seen": pipeline.seen_area // patch_layout(checkpoint).cell ** 2,
            "scheduler": checkpoint.json("scheduler/scheduler_config.json"),
            "default_steps": 50,
            "default_true_cfg": 4.0,
            "negative": " ",
        }

    def files(self, checkpoint: Checkpoint, folder: Path) -> None:
        family = Family(self.settings(checkpoint))
        write_encoded(folder, Encoder(load(checkpoint)), family.pack)


PART = Denoiser()

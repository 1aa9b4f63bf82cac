"""The model `denoiser` of Qwen-Image 2.1: the graphs `reference`, once an image, `prefix`, once a
prompt, and `step`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers.models.transformers.transformer_qwenimage21 import QwenImage21Transformer2DModel
from torch import Tensor

from retouch.api.geometry import CELL
from retouch.families.qwen_image_21.sampling import Family
from retouch.networks import qwen_image_21_passes
from retouch.networks.autoencoder_qwen_image_21 import FACTOR, Encoder
from retouch.networks.qwen_image_21_passes import Prefix, Reference, Step
from retouch_export.checkpoint import Checkpoint
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.graph import Graph, Shape
from retouch_export.parts import Part
from retouch_export.preview import write_encoded
from retouch_export.qwen_image_21.vae_encoder import load
from retouch_export.qwen_image_21.vl_parser import AREA, PHOTOS, chat_writer

FOLDER = "transformer"
STEPS = 40

TEXT = {0: "batch", 1: "text"}
PAST = {0: "batch", 2: "past"}
TARGET = {0: "batch", 1: "cells"}


class Denoiser(Part):
    """The three graphs, and the map for previews."""

    component = FOLDER
    passes = qwen_image_21_passes.__name__
    networks = {FOLDER: QwenImage21Transformer2DModel}

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        """The weights are rounded to bfloat16 and computed in float32. In `outline` there are none,
        and the graphs compute in bfloat16. CheckpointError for a transformer without causal
        conditions."""
        config = checkpoint.json(f"{FOLDER}/config.json")
        if not config.get("causal_condition", True) or config.get("patch_size", 1) != 1:
            raise CheckpointError(
                "the checkpoint's transformer has no causal_condition, or patches of several "
                "latents; neither is supported"
            )
        model = checkpoint.typed(QwenImage21Transformer2DModel, FOLDER, outline)
        examples = _Examples(model)
        image = {"text": TEXT, "tokens": TARGET, "rope": {0: "batch", 1: "block"}}
        earlier = {"past_k": PAST, "past_v": PAST}
        past = {"k": PAST, "v": PAST}
        text_past = dict.fromkeys(("text_k", "text_v"), {0: "batch", 2: "text"})
        step = {"tokens": TARGET, "timestep": {0: "batch"}, "rope": TARGET}
        return [
            Graph(
                "reference",
                Reference(model),
                examples.reference,
                image | earlier,
                Reference.outputs,
            ),
            Graph(
                "prefix",
                Prefix(model),
                examples.prefix,
                {"text": TEXT, "rope": TEXT} | past,
                Prefix.outputs,
            ),
            Graph("step", Step(model), examples.step, step | past | text_past, Step.outputs),
        ]

    def settings(self, checkpoint: Checkpoint) -> dict[str, Any]:
        config = checkpoint.json(f"{FOLDER}/config.json")
        writer = chat_writer(checkpoint)
        settings = {
            "axes": config["axes_dims_rope"],
            "attention": [
                config["num_layers"],
                config["num_attention_heads"],
                config["attention_head_dim"],
            ],
            "factor": FACTOR,
            "latent_channels": config["in_channels"],
            "conditioning": config["context_in_dim"],
            "area": AREA,
            "text_before": writer.text_before(PHOTOS),
            "scheduler": checkpoint.json("scheduler/scheduler_config.json"),
            "default_steps": STEPS,
        }
        own = checkpoint.config.get("sample_sigmas")  # a Turbo checkpoint has some
        turbo = {"default_sigmas": own, "default_steps": len(own)} if own else {}
        return settings | turbo

    def files(self, checkpoint: Checkpoint, folder: Path) -> None:
        family = Family(self.settings(checkpoint))
        encoder = Encoder(load(checkpoint))

        def encode(pixels: Tensor) -> Tensor:
            opacity = torch.ones_like(pixels[:, :1])
            return encoder(torch.cat([pixels, opacity], 1))

        write_encoded(folder, encode, family.pack)


class _Examples:
    """Example inputs of the graphs, by name."""

    def __init__(self, model: QwenImage21Transformer2DModel):
        self._config: Any = model.config
        self._dtype = model.dtype

    def reference(self, shape: Shape) -> dict[str, Tensor]:
        text = torch.randn(shape.batch, shape.text, self._config.context_in_dim)
        tokens = self._tokens(shape)
        rope = self._rope(shape, shape.text + tokens.shape[1])
        return {"text": text, "tokens": tokens, "rope": rope} | self._past(shape, "past_")

    def prefix(self, shape: Shape) -> dict[str, Tensor]:
        text = torch.randn(shape.batch, shape.text, self._config.context_in_dim)
        return {"text": text, "rope": self._rope(shape, shape.text)} | self._past(shape, "")

    def step(self, shape: Shape) -> dict[str, Tensor]:
        tokens = self._tokens(shape)
        inputs = {
            "tokens": tokens,
            "timestep": torch.linspace(1000, 100, shape.batch),
            "rope": self._rope(shape, tokens.shape[1]),
        }
        return inputs | self._past(shape, "") | self._past(shape, "text_")

    def _tokens(self, shape: Shape) -> Tensor:
        cells = shape.height // CELL * (shape.width // CELL)
        return torch.randn(shape.batch, cells, self._config.in_channels)

    def _rope(self, shape: Shape, count: int) -> Tensor:
        angle = torch.rand(shape.batch, count, self._config.attention_head_dim // 2) * 6
        return torch.stack([angle.cos(), angle.sin()], 2)

    def _past(self, shape: Shape, prefix: str) -> dict[str, Tensor]:
        """Keys and values of so many tokens as the region has; of a text, of the text's."""
        config = self._config
        size = (
            shape.batch,
            config.num_layers,
            shape.text if prefix == "text_" else shape.region,
            config.num_attention_heads,
            config.attention_head_dim,
        )
        return {f"{prefix}{name}": torch.randn(size, dtype=self._dtype) for name in ("k", "v")}


PART = Denoiser()

"""The two graphs of a Flux2Transformer2DModel in K/V mode: `reference`, once an image, and `step`,
which attends to its keys and values too."""

from __future__ import annotations

from collections.abc import Callable

import torch
from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from torch import Tensor

from retouch.api.geometry import CELL
from retouch.diffusion.latents import reference_ids, target_ids
from retouch.networks.flux2_passes import Reference, Step
from retouch_export.graph import Graph, Shape

Conditioning = Callable[[Shape, int], dict[str, Tensor]]

SOURCE_AXES = {"tokens": {0: "batch", 1: "cells"}, "ids": {0: "batch", 1: "cells"}}
TARGET_AXES = {
    "tokens": {0: "batch", 1: "region"},
    "beside": {0: "batch", 1: "region"},
    "timestep": {0: "batch"},
    "conditioning": {0: "batch"},
    "ids": {0: "batch", 1: "region"},
    "conditioning_ids": {0: "batch"},
    "k": {0: "batch", 2: "cells"},
    "v": {0: "batch", 2: "cells"},
}


def prefixed(
    model: Flux2Transformer2DModel,
    prediction: str,
    conditioning: Conditioning,
    width: int,
    channels: int,
) -> list[Graph]:
    """The graphs `reference` and `step`, for tokens of `width` numbers in so many `channels` of
    latents.

    `conditioning(shape, count)` makes the family's example inputs for `count` target tokens:
    `conditioning` [B, Q, J], `conditioning_ids` [B, Q, 4] and, where the transformer has channels
    for it, `beside` [B, count, …]."""
    layers = len(model.transformer_blocks) + len(model.single_transformer_blocks)
    heads = model.config["num_attention_heads"]
    size = model.config["attention_head_dim"]

    def source(shape: Shape) -> dict[str, Tensor]:
        ids = torch.from_numpy(reference_ids(grid(shape)))
        return {
            "tokens": torch.randn(shape.batch, len(ids), width),
            "ids": ids.repeat(shape.batch, 1, 1),
        }

    def target(shape: Shape) -> dict[str, Tensor]:
        batch = shape.batch
        every = torch.from_numpy(target_ids(grid(shape)))
        chosen = [torch.randperm(len(every))[: shape.region].sort().values for _ in range(batch)]
        ids = torch.stack([every[cells] for cells in chosen])
        text = conditioning(shape, ids.shape[1])
        prefix = (batch, layers, len(every), heads, size)
        inputs = {
            "tokens": torch.randn(batch, ids.shape[1], width),
            "timestep": torch.linspace(1, 0.1, batch),
            "conditioning": text.pop("conditioning"),
            "ids": ids,
            "conditioning_ids": text.pop("conditioning_ids"),
            "k": torch.randn(prefix, dtype=model.dtype),
            "v": torch.randn(prefix, dtype=model.dtype),
        }
        return inputs | text

    return [
        Graph("reference", Reference(model), source, SOURCE_AXES, Reference.outputs),
        Graph("step", Step(model, prediction, channels), target, TARGET_AXES, Step.outputs),
    ]


def grid(shape: Shape) -> tuple[int, int]:
    """Rows and columns of tokens."""
    return shape.height // CELL, shape.width // CELL

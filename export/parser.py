"""The parser's graphs: the vision tower, and the language model with meta-queries, adapter and heads."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLModel

from export.checkpoint import Checkpoint
from export.graph import Graph, Shape
from retouch.latents import cell_centres
from retouch.networks import MetaQueries, ParserHeads
from retouch.parser import LANGUAGE, TOKENIZER, VISION
from retouch.patches import PatchLayout
from retouch.prompt import PromptWriter
from retouch.reading import read, see
from retouch.types import CELL


class Vision(nn.Module):
    """The tower of `model`; inputs as `PatchLayout.inputs` makes them."""

    def __init__(self, model: Qwen2_5_VLModel):
        super().__init__()
        self.model = model

    def forward(self, pixel_values: Tensor, rope_cos: Tensor, rope_sin: Tensor, real: Tensor | None = None,
                restore: Tensor | None = None) -> Tensor:
        return see(self.model.visual, pixel_values, rope_cos, rope_sin, real, restore).float()


class Language(nn.Module):
    def __init__(self, model: nn.Module, meta_queries: MetaQueries, heads: ParserHeads):
        super().__init__()
        self.model, self.meta_queries, self.heads = model, meta_queries, heads

    def forward(self, input_ids: Tensor, vision_tokens: Tensor, position_ids: Tensor, image_index: Tensor,
                query_index: Tensor, centres: Tensor) -> tuple[Tensor, ...]:
        queries, cells = read(self.model, self.meta_queries, vision_tokens, input_ids, position_ids,
                              image_index, query_index)
        found = self.heads(queries, cells, centres)
        return queries, found.labels, found.boxes, found.region


def graphs(checkpoint: Checkpoint) -> list[Graph]:
    model = language_model(checkpoint)
    heads = checkpoint.load(ParserHeads, "parser_heads")
    meta_queries = checkpoint.load(MetaQueries, "meta_queries")
    layout = PatchLayout.of(model.config.vision_config.to_dict())
    width = model.config.text_config.hidden_size
    writer = PromptWriter(tokenizer_file(checkpoint), meta_queries.config.count)

    def patches(shape: Shape) -> dict[str, Tensor]:
        size = shape.batch, shape.height, shape.width, 3
        pixels = np.random.default_rng(0).integers(0, 256, size, np.uint8)
        return {name: torch.from_numpy(array) for name, array in layout.inputs(pixels).items()}

    def prompts(shape: Shape) -> dict[str, Tensor]:
        grid = shape.height // CELL, shape.width // CELL
        written = writer.write([" red" * max(1, shape.text - row) for row in range(shape.batch)], grid)
        return {
            "input_ids": torch.from_numpy(written.ids),
            "vision_tokens": torch.randn(shape.batch, grid[0] * grid[1], width),
            "position_ids": torch.from_numpy(written.positions),
            "image_index": torch.from_numpy(written.image_index),
            "query_index": torch.from_numpy(written.query_index),
            "centres": torch.from_numpy(cell_centres(grid)),
        }

    prompt_axes = {
        "input_ids": {0: "batch", 1: "length"}, "vision_tokens": {0: "batch", 1: "cells"},
        "position_ids": {1: "batch", 2: "length"}, "image_index": {0: "batch", 1: "cells"},
        "query_index": {0: "batch"}, "centres": {0: "cells"},
    }
    return [
        Graph(VISION, Vision(model.model), patches, vision_axes(layout), ("vision_tokens",)),
        Graph(LANGUAGE, Language(model, meta_queries, heads), prompts, prompt_axes,
              ("queries", "labels", "boxes", "region")),
    ]


def settings(checkpoint: Checkpoint) -> dict[str, Any]:
    heads = checkpoint.json("parser_heads/config.json")
    vision = checkpoint.json("text_encoder/config.json")["vision_config"]
    return {
        "queries": heads["queries"],
        "fields": heads["fields"],
        "patches": asdict(PatchLayout.of(vision)),
        "region_threshold": checkpoint.config["region_threshold"],
    }


def files(checkpoint: Checkpoint, folder: Path) -> None:
    shutil.copyfile(tokenizer_file(checkpoint), folder / TOKENIZER)


def language_model(checkpoint: Checkpoint) -> Qwen2_5_VLForConditionalGeneration:
    """With the adapter of the joint training merged into the weights, where there is one.

    The merged weights stay in float32: rounding them again would move the graph away from the torch pipeline.
    """
    model = checkpoint.load(Qwen2_5_VLForConditionalGeneration, "text_encoder")
    adapter = checkpoint.folder / "text_encoder_lora"
    if adapter.is_dir():
        model = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    return model.eval().requires_grad_(False)


def vision_axes(layout: PatchLayout) -> dict[str, dict[int, str]]:
    """The dynamic axes of what `layout.inputs` makes."""
    many = {0: "batch", 1: "windows" if layout.window else "patches"}
    axes = dict.fromkeys(("pixel_values", "rope_cos", "rope_sin"), many)
    return axes | ({"real": many, "restore": {0: "batch", 1: "cells"}} if layout.window else {})


def tokenizer_file(checkpoint: Checkpoint) -> Path:
    return checkpoint.file("processor/tokenizer.json", "tokenizer/tokenizer.json")

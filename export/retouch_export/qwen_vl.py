"""Common to exports of Qwen2.5-VL and Qwen3-VL: example inputs and axes, configs, names of
parameters."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedConfig, Qwen2_5_VLConfig, Qwen2_5_VLTextConfig

from retouch.api.geometry import CELL
from retouch.families.qwen_vl.patches import PatchLayout
from retouch.families.qwen_vl.rope import Rope
from retouch_export.checkpoint import Checkpoint
from retouch_export.graph import Shape

FOLDER = "text_encoder"
_LENGTH = {0: "batch", 1: "length"}
_CELLS = {0: "batch", 1: "cells"}
CHAT_AXES = {  # of `chat_inputs`
    "input_ids": _LENGTH,
    "vision_tokens": _CELLS,
    "image_index": _CELLS,
    "rope_cos": _LENGTH,
    "rope_sin": _LENGTH,
}


def vision_axes(layout: PatchLayout) -> dict[str, dict[int, str]]:
    """The dynamic axes of the arrays of `layout.inputs`."""
    many = {0: "batch", 1: "windows" if layout.window else "patches"}
    axes = dict.fromkeys(("pixel_values", "rope_cos", "rope_sin"), many)
    return axes | ({"real": many, "restore": {0: "batch", 1: "cells"}} if layout.window else {})


def photo_inputs(layout: PatchLayout, shape: Shape) -> dict[str, Tensor]:
    """Example inputs of a vision tower: photos of noise with a token for every CELL of `shape`."""
    size = shape.height // CELL * layout.cell, shape.width // CELL * layout.cell
    pixels = np.random.default_rng(0).integers(0, 256, (shape.batch, *size, 3), np.uint8)
    return {name: torch.tensor(array) for name, array in layout.inputs(pixels).items()}


def chat_inputs(rope: Rope, vocabulary: int, width: int, shape: Shape) -> dict[str, Tensor]:
    """Example inputs of a language model: a photo in the middle of a text. A vision token has
    `width` numbers."""
    cells = shape.height // CELL * (shape.width // CELL)
    length = cells + shape.text
    index = (torch.arange(cells) + shape.text // 2).expand(shape.batch, -1)
    tables = rope.tables(np.tile(np.arange(length), (3, 1)))
    cos, sin = (torch.from_numpy(table).expand(shape.batch, -1, -1) for table in tables)
    return {
        "input_ids": torch.randint(0, vocabulary, (shape.batch, length)),
        "vision_tokens": torch.randn(shape.batch, cells, width),
        "image_index": index.contiguous(),
        "rope_cos": cos.contiguous(),
        "rope_sin": sin.contiguous(),
    }


def config_of(checkpoint: Checkpoint) -> Qwen2_5_VLConfig:
    return Qwen2_5_VLConfig.from_dict(checkpoint.json(f"{FOLDER}/config.json"))


def text_config(config: Qwen2_5_VLConfig) -> Qwen2_5_VLTextConfig:
    """The language model's config. transformers declares a dict or None too."""
    return cast(Qwen2_5_VLTextConfig, config.text_config)


def patch_layout(checkpoint: Checkpoint) -> PatchLayout:
    """The checkpoint's layout of patches; ValueError when its image processor does not scale
    colours as CLIP's."""
    vision = cast(PreTrainedConfig, config_of(checkpoint).vision_config)
    return PatchLayout.of_checkpoint(vision.to_dict(), checkpoint.folder)


def rope_of(checkpoint: Checkpoint) -> Rope:
    """The language model's rotary embedding; ValueError when it differs from Qwen2.5-VL's."""
    return Rope.of(text_config(config_of(checkpoint)))


def parameter_name(name: str) -> str:
    """The name in a Qwen2_5_VLModel of a tensor of the checkpoint, by any release of
    transformers."""
    name = name.removeprefix("model.")
    return (
        name
        if name.startswith(("visual.", "language_model.", "lm_head."))
        else f"language_model.{name}"
    )

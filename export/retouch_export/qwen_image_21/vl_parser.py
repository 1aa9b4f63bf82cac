"""The model `vl_parser` of Qwen-Image 2.1: the graphs of Qwen3-VL's vision tower and language
model, in bfloat16."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoTokenizer, Qwen3VLConfig, Qwen3VLForConditionalGeneration

from retouch.api.geometry import CELL
from retouch.api.limits import MAX_INSTRUCTION
from retouch.families.base import Family
from retouch.families.denoise_request import Size
from retouch.families.qwen_image_21.chat import ChunkWriter
from retouch.families.qwen_image_21.patches import Qwen3PatchLayout
from retouch.families.qwen_image_21.sampling import TRANSPARENT
from retouch.families.qwen_image_21.text import LANGUAGE, TOKENIZER, VISION
from retouch.families.qwen_image_edit.sampling import dimensions
from retouch.families.qwen_vl.rope import Rope
from retouch.networks import qwen3_vl
from retouch.networks.qwen3_vl import Language, Vision
from retouch_export.checkpoint import Checkpoint
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.edit_sizes import proportions
from retouch_export.graph import Graph, Shape
from retouch_export.parts import Part
from retouch_export.qwen_vl import (
    CHAT_AXES,
    FOLDER,
    chat_inputs,
    parameter_name,
    photo_inputs,
)

AREA = 1024 * 1024  # pixels of an image: the pipeline's output_resolution, squared
PHOTOS = 10  # that an edit takes, as the checkpoint's authors say
PAST = ("past_k", "past_v")  # keys and values of the chat before


def chat_writer(checkpoint: Checkpoint) -> ChunkWriter:
    return ChunkWriter(_tokenizer(checkpoint))


def _tokenizer(checkpoint: Checkpoint) -> Tokenizer:
    return AutoTokenizer.from_pretrained(checkpoint.plain("processor")).backend_tokenizer


def _config(checkpoint: Checkpoint) -> Qwen3VLConfig:
    return Qwen3VLConfig.from_dict(checkpoint.json(f"{FOLDER}/config.json"))


def _layout(checkpoint: Checkpoint) -> Qwen3PatchLayout:
    """CheckpointError when a token of the text model is not 2 × 2 cells of an image."""
    vision: Any = _config(checkpoint).vision_config
    layout = Qwen3PatchLayout.of_checkpoint(vision.to_dict(), checkpoint.folder)
    assert isinstance(layout, Qwen3PatchLayout)
    if layout.cell != 2 * CELL:
        raise CheckpointError(
            f"a token of the text model covers {layout.cell} pixels in each direction; it must be "
            f"{2 * CELL}"
        )
    return layout


def _rope(checkpoint: Checkpoint) -> Rope:
    """CheckpointError when it differs from Qwen3-VL's."""
    text: Any = _config(checkpoint).text_config
    rope = text.rope_parameters
    if rope.get("rope_type", "default") != "default" or not rope.get("mrope_interleaved", True):
        raise CheckpointError(
            "the text model has scaled rotary positions, or none that are interleaved; neither is "
            "supported"
        )
    return Rope(text.head_dim, rope["rope_theta"], tuple(rope["mrope_section"]), True)


def _shape(grid: Size, text: int, past: int) -> Shape:
    """A photo of a grid (rows, columns) of tokens, a text of so many, and as many before them."""
    return Shape(1, grid[0] * CELL, grid[1] * CELL, text, past)


class VlParser(Part):
    """The graphs `vision` and `language`, and the tokenizer."""

    component = FOLDER
    passes = qwen3_vl.__name__
    networks = {FOLDER: Qwen3VLForConditionalGeneration}

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        """The weights are rounded to bfloat16 and computed in float32. In `outline` there are none,
        and the graphs compute in bfloat16."""
        model = checkpoint.typed(Qwen3VLForConditionalGeneration, FOLDER, outline).model
        layout = _layout(checkpoint)
        rope = _rope(checkpoint)
        text: Any = model.config.text_config
        parts = 1 + len(model.config.vision_config.deepstack_visual_indexes)

        def photos(shape: Shape) -> dict[str, Tensor]:
            return photo_inputs(layout, shape)

        def chats(shape: Shape) -> dict[str, Tensor]:
            past = shape.batch, text.num_hidden_layers, shape.region, text.num_key_value_heads
            return chat_inputs(rope, text.vocab_size, parts * text.hidden_size, shape) | {
                name: torch.randn(*past, text.head_dim, dtype=model.dtype) for name in PAST
            }

        axes = CHAT_AXES | dict.fromkeys(PAST, {0: "batch", 2: "past"})
        patches = {0: "batch", 1: "patches"}
        names = ("pixel_values", "rope_cos", "rope_sin", "place_index", "place_weight")
        return [
            Graph(VISION, Vision(model), photos, dict.fromkeys(names, patches), Vision.outputs),
            Graph(LANGUAGE, Language(model), chats, axes, Language.outputs),
        ]

    def settings(self, checkpoint: Checkpoint) -> dict[str, Any]:
        config = _config(checkpoint)
        text: Any = config.text_config
        vision: Any = config.vision_config
        return {
            "patches": asdict(_layout(checkpoint)),
            "rope": asdict(_rope(checkpoint)),
            "area": AREA,
            "photos": PHOTOS,
            "attention": [text.num_hidden_layers, text.num_key_value_heads, text.head_dim],
            "width": text.hidden_size,
            "vision_width": (1 + len(vision.deepstack_visual_indexes)) * text.hidden_size,
        }

    def files(self, checkpoint: Checkpoint, folder: Path) -> None:
        _tokenizer(checkpoint).save(str(folder / TOKENIZER))

    def shapes(self, checkpoint: Checkpoint, family: Family, graph: str) -> list[Shape]:
        """Photos of every proportion, and parts of chats: from an instruction alone to the last of
        all photos, and the longest instruction after it. The usual one is a second photo."""
        layout = _layout(checkpoint)
        sizes = (dimensions(AREA, 1, ratio) for ratio in (1, *proportions()))
        square, *others = (layout.grid(*layout.size(*size)) for size in sizes)
        grids = sorted(set(others), key=math.prod)
        if graph == VISION:
            return [_shape(grid, 0, 0) for grid in (square, *grids)]
        writer = chat_writer(checkpoint)
        first, *further = writer.text_before(PHOTOS)
        first += writer.system
        sentence = len(writer.instruction("", 0).ids)
        longest = len(writer.instruction(TRANSPARENT, 0).ids) + MAX_INSTRUCTION
        photos = PHOTOS * math.prod(grids[-1])
        return [
            _shape(square, further[0], first + math.prod(square)),
            _shape((0, 0), sentence, 0),
            _shape(grids[-1], max(first, longest), first + sum(further) + photos),
        ]

    def parameter_name(self, name: str) -> str:
        return parameter_name(name)


PART = VlParser()

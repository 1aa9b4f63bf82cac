"""The model `vl_parser` of Qwen-Image-Edit: the graphs of Qwen2.5-VL's vision tower and language
model, in bfloat16."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoTokenizer, Qwen2_5_VLForConditionalGeneration

from retouch.api.geometry import CELL
from retouch.api.limits import MAX_INSTRUCTION
from retouch.families.base import Family, Size
from retouch.families.qwen_image_edit.sampling import dimensions
from retouch.families.qwen_image_edit.text import LANGUAGE, TOKENIZER, VISION
from retouch.families.qwen_vl.chat import ChatWriter
from retouch.networks import qwen_vl_passes
from retouch.networks.qwen_vl_passes import Language, Vision
from retouch_export.checkpoint import Checkpoint
from retouch_export.edit_sizes import proportions
from retouch_export.graph import Graph, Shape
from retouch_export.parts import Part
from retouch_export.qwen_image_edit.pipelines import pipeline_of
from retouch_export.qwen_vl import (
    CHAT_AXES,
    FOLDER,
    chat_inputs,
    parameter_name,
    patch_layout,
    photo_inputs,
    rope_of,
    vision_axes,
)

USUAL_TOKENS = 16  # of an instruction; the longest has at most a token a character


def _tokenizer(checkpoint: Checkpoint) -> Tokenizer:
    names = "processor/tokenizer_config.json", "tokenizer/tokenizer_config.json"
    source = checkpoint.file(*names).parent.name
    return AutoTokenizer.from_pretrained(checkpoint.plain(source)).backend_tokenizer


def _shape(grid: Size, text: int) -> Shape:
    """A photo of a grid (rows, columns) of tokens, and a text of so many."""
    return Shape(1, grid[0] * CELL, grid[1] * CELL, text, 0)


class VlParser(Part):
    """The graphs `vision` and `language`, and the tokenizer."""

    component = FOLDER
    passes = qwen_vl_passes.__name__
    networks = {FOLDER: Qwen2_5_VLForConditionalGeneration}

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        """The weights are rounded to bfloat16 and computed in float32. In `outline` there are none,
        and the graphs compute in bfloat16."""
        model = checkpoint.typed(Qwen2_5_VLForConditionalGeneration, FOLDER, outline).model
        layout = patch_layout(checkpoint)
        rope = rope_of(checkpoint)
        text_config = model.config.text_config

        def photos(shape: Shape) -> dict[str, Tensor]:
            return photo_inputs(layout, shape)

        def chats(shape: Shape) -> dict[str, Tensor]:
            return chat_inputs(rope, text_config.vocab_size, text_config.hidden_size, shape)

        return [
            Graph(VISION, Vision(model), photos, vision_axes(layout), Vision.outputs),
            Graph(LANGUAGE, Language(model), chats, CHAT_AXES, Language.outputs),
        ]

    def settings(self, checkpoint: Checkpoint) -> dict[str, Any]:
        pipeline = pipeline_of(checkpoint)
        return {
            "patches": asdict(patch_layout(checkpoint)),
            "rope": asdict(rope_of(checkpoint)),
            "template": pipeline.template,
            "picture": pipeline.picture,
            "drop": pipeline.drop,
            "photos": pipeline.photos,
            "seen_area": pipeline.seen_area,
        }

    def files(self, checkpoint: Checkpoint, folder: Path) -> None:
        _tokenizer(checkpoint).save(str(folder / TOKENIZER))

    def shapes(self, checkpoint: Checkpoint, family: Family, graph: str) -> list[Shape]:
        """Photos of every proportion at the size that the vision tower takes, and chats from one
        such photo without an instruction to as many as the pipeline takes with the longest."""
        pipeline = pipeline_of(checkpoint)
        layout = patch_layout(checkpoint)
        usual, *sizes = (dimensions(pipeline.seen_area, 1, ratio) for ratio in (1, *proportions()))
        square = layout.grid(*layout.size(*usual))
        grids = sorted({layout.grid(*layout.size(*size)) for size in sizes}, key=math.prod)
        if graph == VISION:
            return [_shape(grid, 0) for grid in (square, *grids)]
        template = ChatWriter(_tokenizer(checkpoint), pipeline.template, pipeline.picture)
        one, most = (
            len(template.write("", [(1, 1)] * photos).ids) - photos
            for photos in (1, pipeline.photos)
        )
        rows, columns = grids[-1]
        return [
            _shape(square, one + USUAL_TOKENS),
            _shape(grids[0], one),
            _shape((rows * pipeline.photos, columns), most + MAX_INSTRUCTION),
        ]

    def parameter_name(self, name: str) -> str:
        return parameter_name(name)


PART = VlParser()

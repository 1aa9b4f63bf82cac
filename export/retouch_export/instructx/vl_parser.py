"""The model `vl_parser` of InstructX: the graph of the vision tower, and that of the language model
with meta-queries, adapter and heads.

The graphs compute in float32, and their results are those of the torch pipeline. Weights stay as
the checkpoint stores them and are widened where they are used, so a parser of any size is exported
without being loaded."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor
from transformers import Qwen2_5_VLForConditionalGeneration

from retouch.artifacts.manifest import FLOAT32
from retouch.diffusion.latents import cell_centres
from retouch.families.base import Family
from retouch.families.instructx.hints import FILE as EXAMPLES
from retouch.families.instructx.hints import Hints
from retouch.families.instructx.parser import LANGUAGE, TOKENIZER, VISION
from retouch.families.instructx.parser_output import Fields
from retouch.families.instructx.prompt import MAX_TOKENS
from retouch.networks import instructx_passes
from retouch.networks.instructx import MetaQueries, ParserHeads
from retouch.networks.instructx_passes import WIDE, Language, Vision
from retouch_export.adapter import Merged
from retouch_export.checkpoint import Checkpoint
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.edit_sizes import edit_sizes
from retouch_export.graph import Graph, Shape
from retouch_export.lora import changes
from retouch_export.parts import Part
from retouch_export.qwen_vl import (
    FOLDER,
    config_of,
    parameter_name,
    patch_layout,
    rope_of,
    text_config,
    vision_axes,
)
from retouch_export.safetensors_index import TensorSource

USUAL_TOKENS = 16  # of an instruction
FRAME = 2  # tokens around an instruction before the image
LORA = "text_encoder_lora"  # of the joint training
BESIDE = {"meta_queries": MetaQueries, "parser_heads": ParserHeads}
PREFIXES = "model.", *(f"{name}." for name in BESIDE)  # of the parameters in the graphs


def queries(checkpoint: Checkpoint) -> int:
    """The number of meta-queries; CheckpointError when the networks do not agree on it."""
    count, width = (
        checkpoint.json("meta_queries/config.json")[name] for name in ("count", "width")
    )
    heads = checkpoint.json("parser_heads/config.json")
    hidden = text_config(config_of(checkpoint)).hidden_size
    if (heads["queries"], heads["width"], hidden) != (count, width, width):
        raise CheckpointError(
            f"there are {count} meta-queries of {width} numbers; the parser's heads read "
            f"{heads['queries']} of {heads['width']}, "
            f"and the language model's hidden states have {hidden}"
        )
    if count % heads["slots"]:
        raise CheckpointError(
            f"{count} meta-queries cannot be shared by {heads['slots']} operations in equal parts"
        )
    return count


def check_examples(checkpoint: Checkpoint, fields: Fields) -> None:
    """CheckpointError when the checkpoint has examples that its heads do not know."""
    try:
        Hints.of(checkpoint.folder, fields)
    except ValueError as failure:
        raise CheckpointError(str(failure)) from None


def language_model(checkpoint: Checkpoint) -> Qwen2_5_VLForConditionalGeneration:
    """The language model, with the adapter of the joint training merged where there is one."""
    model = checkpoint.load(Qwen2_5_VLForConditionalGeneration, FOLDER)
    adapter = checkpoint.folder / LORA
    if adapter.is_dir():
        model = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    return model.eval().requires_grad_(False)


class VlParser(Part):
    """The graphs `vision` and `language`, the tokenizer and, if there are any, examples."""

    prefixes = PREFIXES
    arithmetic = FLOAT32
    passes = instructx_passes.__name__
    networks = {FOLDER: Qwen2_5_VLForConditionalGeneration} | BESIDE

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        """They compute in float32, in `outline` too."""
        return self._graphs(checkpoint, torch.float32 if outline else None)

    def typed_graphs(self, checkpoint: Checkpoint) -> list[Graph]:
        """In bfloat16, the heads in float32: a region's threshold and a box's edge need more digits
        than bfloat16 has."""
        return self._graphs(checkpoint, torch.bfloat16)

    def _graphs(self, checkpoint: Checkpoint, dtype: torch.dtype | None) -> list[Graph]:
        """Without weights in `dtype`, or with the checkpoint's in float32."""
        model = (
            checkpoint.outline(Qwen2_5_VLForConditionalGeneration, FOLDER, dtype)
            if dtype
            else language_model(checkpoint)
        ).model
        beside = {
            name: checkpoint.outline(kind, name, torch.float32 if name in WIDE else dtype)
            if dtype
            else checkpoint.load(kind, name)
            for name, kind in BESIDE.items()
        }
        layout = patch_layout(checkpoint)
        rope = rope_of(checkpoint)
        count = queries(checkpoint)
        language_config = text_config(model.config)

        def grid(shape: Shape) -> tuple[int, int]:
            return layout.grid(*layout.size(shape.height, shape.width))

        def photos(shape: Shape) -> dict[str, Tensor]:
            size = shape.batch, *layout.size(shape.height, shape.width), 3
            pixels = np.random.default_rng(0).integers(0, 256, size, np.uint8)
            return {name: torch.from_numpy(array) for name, array in layout.inputs(pixels).items()}

        def prompts(shape: Shape) -> dict[str, Tensor]:
            """Rows with texts of different lengths, padded on the right."""
            seen = grid(shape)
            before = np.maximum(shape.text - np.arange(shape.batch), 1)[:, None]
            image_index = before + np.arange(seen[0] * seen[1])
            query_index = image_index[:, -1:] + 2 + np.arange(count)
            length = query_index.max() + 1
            cos, sin = rope.tables(np.tile(np.arange(length), (3, shape.batch, 1)))
            return {
                "input_ids": torch.randint(0, language_config.vocab_size, (shape.batch, length)),
                "vision_tokens": torch.randn(
                    shape.batch, seen[0] * seen[1], language_config.hidden_size
                ),
                "image_index": torch.from_numpy(image_index),
                "query_index": torch.from_numpy(query_index),
                "rope_cos": torch.from_numpy(cos),
                "rope_sin": torch.from_numpy(sin),
                "centres": torch.from_numpy(cell_centres(seen)),
            }

        length = {0: "batch", 1: "length"}
        cells = {0: "batch", 1: "cells"}
        axes = {
            "input_ids": length,
            "vision_tokens": cells,
            "image_index": cells,
            "query_index": {0: "batch"},
            "rope_cos": length,
            "rope_sin": length,
            "centres": {0: "cells"},
        }
        language = Language(model, **beside)
        return [
            Graph(VISION, Vision(model), photos, vision_axes(layout), Vision.outputs),
            Graph(LANGUAGE, language, prompts, axes, language.outputs),
        ]

    def shapes(self, checkpoint: Checkpoint, family: Family, graph: str) -> list[Shape]:
        """Images of the family's sizes, and instructions from one token to the longest."""
        _, usual, _ = family.size_ranges[0]
        return [
            Shape(1, *size, tokens + FRAME, 0)
            for size in (usual, *edit_sizes(family))
            for tokens in (USUAL_TOKENS, 1, MAX_TOKENS)
        ]

    def parameters(self, checkpoint: Checkpoint) -> dict[str, TensorSource]:
        """The parameters by their names in the graphs. The adapter is merged in float32 without
        rounding, as in the torch pipeline."""
        language: dict[str, TensorSource] = {
            parameter_name(name): tensor for name, tensor in checkpoint.stored(FOLDER).items()
        }
        lora = checkpoint.folder / LORA
        for name, change in changes(lora).items() if lora.is_dir() else ():
            if parameter_name(name) not in language:
                raise CheckpointError(
                    f"{LORA} changes {name}, which the checkpoint's {FOLDER} does not have"
                )
            language[parameter_name(name)] = Merged(language[parameter_name(name)], change)
        network = {f"model.{name}": tensor for name, tensor in language.items()}
        return network | {
            f"{part}.{name}": tensor
            for part in BESIDE
            for name, tensor in checkpoint.stored(part).items()
        }

    def parameter_name(self, name: str) -> str:
        return parameter_name(name)

    def settings(self, checkpoint: Checkpoint) -> dict[str, Any]:
        heads = checkpoint.json("parser_heads/config.json")
        check_examples(checkpoint, heads["fields"])
        return {
            "queries": queries(checkpoint),
            "fields": heads["fields"],
            "calibration": {
                "temperature": heads.get("temperature", 1.0),
                "refuse_below": heads.get("refuse_below", 0.0),
                "unsupported": heads.get("unsupported", []),
            },
            "patches": asdict(patch_layout(checkpoint)),
            "rope": asdict(rope_of(checkpoint)),
            "region_threshold": checkpoint.config["region_threshold"],
        }

    def files(self, checkpoint: Checkpoint, folder: Path) -> None:
        shutil.copyfile(
            checkpoint.file("processor/tokenizer.json", "tokenizer/tokenizer.json"),
            folder / TOKENIZER,
        )
        if (checkpoint.folder / EXAMPLES).is_file():
            shutil.copyfile(checkpoint.folder / EXAMPLES, folder / EXAMPLES)


PART = VlParser()

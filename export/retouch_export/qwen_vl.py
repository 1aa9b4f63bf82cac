"""Common to exports of Qwen2.5-VL: axes of the vision tower, configs, names of parameters."""

from __future__ import annotations

from typing import cast

from transformers import PreTrainedConfig, Qwen2_5_VLConfig, Qwen2_5_VLTextConfig

from retouch.families.qwen_vl.patches import PatchLayout
from retouch.families.qwen_vl.rope import Rope
from retouch_export.checkpoint import Checkpoint

FOLDER = "text_encoder"


def vision_axes(layout: PatchLayout) -> dict[str, dict[int, str]]:
    """The dynamic axes of the arrays of `layout.inputs`."""
    many = {0: "batch", 1: "windows" if layout.window else "patches"}
    axes = dict.fromkeys(("pixel_values", "rope_cos", "rope_sin"), many)
    return axes | ({"real": many, "restore": {0: "batch", 1: "cells"}} if layout.window else {})


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

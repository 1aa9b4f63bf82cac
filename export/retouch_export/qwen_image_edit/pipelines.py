"""What the two pipelines of Qwen-Image-Edit do differently, as data: how many photos, how large, in
which words."""

from __future__ import annotations

from dataclasses import dataclass

from diffusers import QwenImageEditPipeline, QwenImageEditPlusPipeline
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as plus

from retouch_export.checkpoint import Checkpoint

AREA = 1024 * 1024  # pixels of the target, and of a photo as the autoencoder sees it
# QwenImageEditPlusPipeline's, once a photo
PICTURE = "Picture {}: <|vision_start|><|image_pad|><|vision_end|>"


@dataclass(frozen=True)
class Pipeline:
    """`template` has {} for the instruction, before it `picture` comes once a photo. The text model
    sees photos with `seen_area` pixels, and `drop` of its first hidden states are left out."""

    template: str
    drop: int
    picture: str
    photos: int
    area: int
    seen_area: int


def pipeline_of(checkpoint: Checkpoint) -> Pipeline:
    """Of the class that the checkpoint's `model_index.json` names."""
    several = checkpoint.config["_class_name"] == QwenImageEditPlusPipeline.__name__
    kind = QwenImageEditPlusPipeline if several else QwenImageEditPipeline
    bare = kind(
        **dict.fromkeys(
            ("scheduler", "vae", "text_encoder", "tokenizer", "processor", "transformer")
        )
    )
    words = bare.prompt_template_encode, bare.prompt_template_encode_start_idx
    if several:
        return Pipeline(*words, PICTURE, 3, AREA, plus.CONDITION_IMAGE_SIZE)
    return Pipeline(*words, "", 1, AREA, AREA)

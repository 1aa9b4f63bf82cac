"""The differences of Qwen-Image-Edit's two pipelines as data: photos, sizes and prompt template."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as plus
from diffusers.pipelines.qwenimage.pipeline_qwenimage_edit import QwenImageEditPipeline

from retouch_export.checkpoint import Checkpoint

AREA = 1024 * 1024  # pixels of the target, and of a photo as the autoencoder sees it
COMPONENTS = ("scheduler", "vae", "text_encoder", "tokenizer", "processor", "transformer")
# of QwenImageEditPlusPipeline, once a photo
PICTURE = "Picture {}: <|vision_start|><|image_pad|><|vision_end|>"


@dataclass(frozen=True)
class Pipeline:
    """`template` has {} for the instruction, and `picture` comes before it once a photo. `photos`
    is their largest number. The target has `area` pixels, a photo for the text model `seen_area`.
    The first `drop` hidden states are left out."""

    template: str
    drop: int
    picture: str
    photos: int
    area: int
    seen_area: int


def pipeline_of(checkpoint: Checkpoint) -> Pipeline:
    """The pipeline that the checkpoint's `model_index.json` names."""
    several = checkpoint.config["_class_name"] == plus.QwenImageEditPlusPipeline.__name__
    kind = plus.QwenImageEditPlusPipeline if several else QwenImageEditPipeline
    absent: dict[str, Any] = dict.fromkeys(COMPONENTS)
    bare = kind(**absent)
    template = bare.prompt_template_encode
    drop = bare.prompt_template_encode_start_idx
    if several:
        return Pipeline(template, drop, PICTURE, 3, AREA, plus.CONDITION_IMAGE_SIZE)
    return Pipeline(template, drop, "", 1, AREA, AREA)

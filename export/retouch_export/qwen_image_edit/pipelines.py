"""The differences of Qwen-Image-Edit's two pipelines as data: photos, sizes and prompt template."""

from __future__ import annotations

from dataclasses import dataclass

from diffusers import QwenImageEditPipeline, QwenImageEditPlusPipeline
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as plus

from retouch_export.checkpoint import Checkpoint

AREA = 1024 * 1024  # pixels of the target, and of a photo as the autoencoder sees it
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
    several = checkpoint.config["_class_name"] == QwenImageEditPlusPipeline.__name__
    kind = QwenImageEditPlusPipeline if several else QwenImageEditPipeline
    bare = kind(
        **dict.fromkeys(
            ("scheduler", "vae", "text_encoder", "tokenizer", "processor", "transformer")
        )
    )
    template = bare.prompt_template_encode
    drop = bare.prompt_template_encode_start_idx
    if several:
        return Pipeline(template, drop, PICTURE, 3, AREA, plus.CONDITION_IMAGE_SIZE)
    return Pipeline(template, drop, "", 1, AREA, AREA)

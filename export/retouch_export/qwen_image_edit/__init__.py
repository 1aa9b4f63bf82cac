"""Qwen-Image-Edit: Qwen2.5-VL, the one-frame autoencoder and the diffusion transformer."""

from retouch_export.pipeline import COMPONENTS, Pipeline

PROMPT = 512  # tokens
# Qwen2.5-VL makes a token of 28 x 28 pixels: 1,337 of an image of 1024 x 1024, 188 of the Plus
# pipeline's 384 x 384
IMAGE = 1337
SMALL_IMAGE = 188

PIPELINES = {
    "QwenImageEditPipeline": Pipeline(
        (*COMPONENTS, "processor"), 50, 4.0, runs_twice=True, text_tokens=PROMPT + IMAGE
    ),
    "QwenImageEditPlusPipeline": Pipeline(
        (*COMPONENTS, "processor"), 50, 4.0, runs_twice=True, text_tokens=PROMPT + SMALL_IMAGE
    ),
}

"""Qwen-Image 2.1, a `QwenImage21Pipeline`: Qwen3-VL, an autoencoder with transparency and the
block-causal transformer."""

from retouch_export.pipeline import Pipeline

COMPONENTS = ("scheduler", "vae", "text_encoder", "processor", "transformer")
PROMPT = 512  # tokens
IMAGE = 1024  # tokens that Qwen3-VL makes of an image of 1024 x 1024

PIPELINES = {
    "QwenImage21Pipeline": Pipeline(
        COMPONENTS, 40, text_tokens=PROMPT + IMAGE, caches_reference=True
    )
}

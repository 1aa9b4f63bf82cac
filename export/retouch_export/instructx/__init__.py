"""InstructX: Qwen2.5-VL with meta-queries, a connector and a Flux2 transformer."""

from retouch_export.pipeline import COMPONENTS, Pipeline

PARSER = ("meta_queries", "parser_heads", "connector")
OPTIONAL = ("preview.safetensors", "text_encoder_lora", "processor", "image_processor")

PIPELINES = {
    "RetouchPipeline": Pipeline(
        COMPONENTS + PARSER, text_tokens=8, caches_reference=True, sides=(128,), optional=OPTIONAL
    )
}

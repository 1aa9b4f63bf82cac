"""FLUX.1 Kontext, a `FluxKontextPipeline`: CLIP and T5, AutoencoderKL, FluxTransformer2DModel."""

from retouch_export.pipeline import COMPONENTS, Pipeline

PIPELINES = {
    "FluxKontextPipeline": Pipeline((*COMPONENTS, "text_encoder_2", "tokenizer_2"), 28, 2.5)
}

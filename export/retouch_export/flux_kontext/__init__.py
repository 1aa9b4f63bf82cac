"""FLUX.1 Kontext, a `FluxKontextPipeline`: CLIP and T5, AutoencoderKL, FluxTransformer2DModel."""

"""FLUX.2 klein, a `Flux2KleinPipeline`: Qwen3, AutoencoderKLFlux2, Flux2Transformer2DModel."""

from retouch_export.pipeline import COMPONENTS, Pipeline

PIPELINES = {"Flux2KleinPipeline": Pipeline(COMPONENTS, 50, 4.0, runs_twice=True)}

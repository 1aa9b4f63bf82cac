"""FLUX.2 dev, a `Flux2Pipeline`: Mistral 3, AutoencoderKLFlux2, Flux2Transformer2DModel."""

from retouch_export.pipeline import COMPONENTS, Pipeline

# of the pipeline's signature
STEPS = 50
GUIDANCE = 4.0

PIPELINES = {"Flux2Pipeline": Pipeline(COMPONENTS, STEPS, GUIDANCE)}

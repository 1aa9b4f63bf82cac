"""FLUX.2 klein, a `Flux2KleinPipeline`: Qwen3, AutoencoderKLFlux2, Flux2Transformer2DModel."""

from retouch_export.pipeline import COMPONENTS, Pipeline

# of the pipeline's signature, and the steps that distilled checkpoints were made for
STEPS = 50
TRUE_CFG = 4.0
DISTILLED_STEPS = 4

PIPELINES = {
    "Flux2KleinPipeline": Pipeline(
        COMPONENTS, STEPS, TRUE_CFG, runs_twice=True, distilled_steps=DISTILLED_STEPS
    )
}

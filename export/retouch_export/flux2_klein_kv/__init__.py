"""FLUX.2 klein with cached references, a `Flux2KleinKVPipeline`."""

from retouch_export.pipeline import COMPONENTS, Pipeline

PIPELINES = {"Flux2KleinKVPipeline": Pipeline(COMPONENTS, 4, caches_reference=True)}

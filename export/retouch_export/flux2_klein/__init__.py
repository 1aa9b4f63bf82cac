"""FLUX.2 klein with kept references, as diffusers' Flux2KleinKVPipeline has it."""

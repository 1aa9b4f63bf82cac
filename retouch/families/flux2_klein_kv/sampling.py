"""FLUX.2 klein with cached references (`Flux2KleinKVPipeline`): few steps and no guidance.
Reference tokens attend to themselves alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from retouch.diffusion.latents import target_ids
from retouch.families.denoise_request import Arrays, DenoiseRequest
from retouch.families.flux2_klein import sampling
from retouch.families.flux2_klein.sampling import reference_ids, text_ids


class Family(sampling.Family):
    """The conditioning is `prompt_embeds` [T, J]. The graph takes any subset of the target's
    tokens, though the network has not been trained on parts of an image."""

    caches_reference = True
    supports_regions = True
    size_ranges = sampling.Family.size_ranges
    text_tokens = sampling.Family.text_tokens

    def __init__(self, settings: dict[str, Any]):
        super().__init__(settings | {"is_distilled": True})  # the pipeline takes no guidance
        self.supports_region_cache = False  # a step takes any part of the target

    def reference_inputs(self, images: Sequence[np.ndarray], conditioning: Arrays) -> Arrays:
        """The tokens of all images attend to one another."""
        return {
            "tokens": np.concatenate(list(map(self.pack, images)))[None],
            "ids": reference_ids([self.grid(image) for image in images])[None],
        }

    def constant_inputs(
        self, request: DenoiseRequest, conditioning: Arrays, cells: np.ndarray
    ) -> Arrays:
        prompt_embeds = conditioning["prompt_embeds"]
        return {
            "conditioning": prompt_embeds[None],
            "ids": target_ids(self.grid(request.latents))[cells][None],
            "conditioning_ids": text_ids(len(prompt_embeds))[None],
        }

"""FLUX.2 dev (`Flux2Pipeline`): FLUX.2 klein's tokens and schedule. Guidance is distilled: the
network takes its scale as an input."""

from __future__ import annotations

from typing import Any

import numpy as np

from retouch.families.denoise_request import Arrays, DenoiseRequest
from retouch.families.flux2_klein import sampling


class Family(sampling.Family):
    """The conditioning is `prompt_embeds` [T, J]. There is no negative instruction."""

    size_ranges = sampling.Family.size_ranges
    text_tokens = sampling.Family.text_tokens

    def __init__(self, settings: dict[str, Any]):
        super().__init__(settings | {"is_distilled": True})
        self.guidance = settings["default_guidance"]

    def constant_inputs(
        self, request: DenoiseRequest, conditioning: Arrays, cells: np.ndarray
    ) -> Arrays:
        guidance = np.array([request.guidance or self.guidance], np.float32)
        return super().constant_inputs(request, conditioning, cells) | {"guidance": guidance}

"""The model `denoiser` of FLUX.2 klein with cached references: the graphs `reference`, once an
image, and `step`."""

from __future__ import annotations

from typing import Any

from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from torch import Tensor

from retouch.networks import flux2_passes
from retouch_export.checkpoint import Checkpoint
from retouch_export.flux2_klein import denoiser
from retouch_export.flux2_klein.denoiser import FOLDER, text_inputs
from retouch_export.graph import Graph, Shape
from retouch_export.kv_graphs import prefixed


class Denoiser(denoiser.Denoiser):
    """The graphs `reference` and `step`, and the map for previews."""

    passes = flux2_passes.__name__

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        model = checkpoint.typed(Flux2Transformer2DModel, FOLDER, outline)

        def conditioning(shape: Shape, count: int) -> dict[str, Tensor]:
            return text_inputs(model, shape.batch)

        width = model.config.in_channels
        return prefixed(model, "velocity", conditioning, width, width)

    def settings(self, checkpoint: Checkpoint) -> dict[str, Any]:
        return super().settings(checkpoint) | {"prediction": "velocity"}

    def is_distilled(self, checkpoint: Checkpoint) -> bool:
        """The pipeline takes no guidance."""
        return True


PART = Denoiser()

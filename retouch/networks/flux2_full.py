"""The pass of a Flux2Transformer2DModel in which target, references and text attend to one another,
as a module."""

from __future__ import annotations

from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from torch import Tensor, nn

from retouch.networks.flux2 import step


class Step(nn.Module):
    """The velocity [B, N, C] in float32 of the target's `tokens` [B, N, C] beside `references` [B,
    R, C], at `ids` [B, N + R, 4]. A network with embedded guidance takes its scale `guidance`
    [B]."""

    outputs = ("velocity",)

    def __init__(self, model: Flux2Transformer2DModel):
        super().__init__()
        self.model = model

    def forward(
        self,
        tokens: Tensor,
        references: Tensor,
        timestep: Tensor,
        conditioning: Tensor,
        ids: Tensor,
        conditioning_ids: Tensor,
        guidance: Tensor | None = None,
    ) -> Tensor:
        kind = self.model.dtype
        return step(
            self.model,
            tokens.to(kind),
            timestep,
            conditioning.to(kind),
            ids,
            conditioning_ids,
            references=references.to(kind),
            guidance=guidance,
        ).float()


PASSES = {"step": lambda networks, settings: Step(networks["transformer"])}

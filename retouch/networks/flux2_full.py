"""The pass of a Flux2Transformer2DModel in which target, references and text attend to one another,
as a module."""

from __future__ import annotations

from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from torch import Tensor, nn

from retouch.networks.flux2 import keeping_step


class Step(nn.Module):
    """The velocity [B, N, C] in float32 of the target's `tokens` [B, N, C] beside `references` [B,
    R, C], at `ids` [B, N + R, 4], and the keys and values of the tokens at `kept` [B, M].

    A step of all tokens has no `past_k` and `past_v`, tensors of length 0. A step of a region has
    its tokens alone, no references, and what a step before has kept of all others. A network with
    embedded guidance takes its scale `guidance` [B]."""

    outputs = ("velocity", "k", "v")

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
        past_k: Tensor,
        past_v: Tensor,
        kept: Tensor,
        guidance: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        kind = self.model.dtype
        velocity, k, v = keeping_step(
            self.model,
            tokens.to(kind),
            references.to(kind),
            timestep,
            conditioning.to(kind),
            ids,
            conditioning_ids,
            past_k,
            past_v,
            kept,
            guidance,
        )
        return velocity.float(), k, v


PASSES = {"step": lambda networks, settings: Step(networks["transformer"])}

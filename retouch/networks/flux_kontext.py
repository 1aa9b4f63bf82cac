"""FLUX.1 Kontext's pass: diffusers' own, with the reference's tokens behind the target's."""

from __future__ import annotations

from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from torch import Tensor, nn

from retouch.diffusion.sigmas import TRAINED_STEPS


class Step(nn.Module):
    """The velocity [B, S, C] in float32 of `tokens` [B, S, C], the target's and then the
    reference's. Only the target's velocity is used.

    Of `ids` [B, S, 3] and `text_ids` [B, T, 3] the first row's hold for the batch, as in diffusers.
    `guidance` [B] is the strength of a network with embedded guidance. `timestep` [B] is the noise
    level in 0..1. As in `FluxKontextPipeline`, 1000 times it is rounded to the network's type."""

    outputs = ("velocity",)

    def __init__(self, model: FluxTransformer2DModel):
        super().__init__()
        self.model = model

    def forward(
        self,
        tokens: Tensor,
        text: Tensor,
        pooled: Tensor,
        timestep: Tensor,
        ids: Tensor,
        text_ids: Tensor,
        guidance: Tensor | None = None,
    ) -> Tensor:
        kind = self.model.dtype
        return self.model(
            hidden_states=tokens.to(kind),
            encoder_hidden_states=text.to(kind),
            pooled_projections=pooled.to(kind),
            timestep=(timestep * TRAINED_STEPS).to(kind) / TRAINED_STEPS,
            guidance=guidance,
            img_ids=ids[0],
            txt_ids=text_ids[0],
            return_dict=False,
        )[0].float()


PASSES = {"step": lambda networks, settings: Step(networks["transformer"])}

"""FLUX.1 Kontext's pass: diffusers' own, which has the reference's tokens among the others."""

from __future__ import annotations

from diffusers import FluxTransformer2DModel
from torch import Tensor, nn

from retouch.diffusion.sigmas import TRAINED_STEPS


class Step(nn.Module):
    """`tokens` [B, S, C] are the target's, then the reference's; the velocity [B, S, C] counts for
    the target's.

    `ids` [B, S, 3] and `text_ids` [B, T, 3] are diffusers', which has one set for the batch: the
    first row's count. `guidance` [B] is the distilled one's strength, of a network that has it
    embedded. `timestep` [B] is the noise level; `FluxKontextPipeline` rounds a thousand times it to
    the network's type, and so a share of 1 comes to the network."""

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

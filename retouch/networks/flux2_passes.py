"""The two passes of a Flux2Transformer2DModel in K/V mode, as modules."""

from __future__ import annotations

import torch
from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from torch import Tensor, nn

from retouch.networks.flux2 import reference, step


class Reference(nn.Module):
    """Keys and values of the reference, once an image: two tensors [B, layers, R, heads, head
    size]."""

    outputs = ("k", "v")

    def __init__(self, model: Flux2Transformer2DModel):
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        return reference(self.model, tokens.to(self.model.dtype), ids)


class Step(nn.Module):
    """The velocity [B, N, C] in float32.

    `prediction` is what the transformer predicts (`velocity`). `beside` [B, N, …] are further
    channels of the tokens, in a transformer that takes some: the source's token first."""

    outputs = ("velocity",)

    def __init__(self, model: Flux2Transformer2DModel, prediction: str):
        super().__init__()
        self.model = model
        self.prediction = prediction

    def forward(
        self,
        tokens: Tensor,
        timestep: Tensor,
        conditioning: Tensor,
        ids: Tensor,
        conditioning_ids: Tensor,
        k: Tensor,
        v: Tensor,
        beside: Tensor | None = None,
    ) -> Tensor:
        kind = self.model.dtype
        seen = (tokens if beside is None else torch.cat([tokens, beside], -1)).to(kind)
        predicted = step(
            self.model, seen, timestep, conditioning.to(kind), ids, conditioning_ids, k, v
        ).float()
        return velocity(self.prediction, predicted, tokens, timestep[:, None, None], beside)


def velocity(
    prediction: str, predicted: Tensor, tokens: Tensor, sigma: Tensor, beside: Tensor | None
) -> Tensor:
    """The velocity [B, N, C] from what a transformer predicts for noisy `tokens` at `sigma`: the
    velocity, the clean tokens ("sample"), or their difference from the source's tokens
    ("difference"), which are the first channels of `beside`."""
    if prediction == "velocity":
        return predicted
    if prediction == "difference" and beside is not None:
        predicted = predicted + beside[..., : tokens.shape[-1]]
    return (tokens - predicted) / sigma


PASSES = {
    "reference": lambda networks, settings: Reference(networks["transformer"]),
    "step": lambda networks, settings: Step(networks["transformer"], settings["prediction"]),
}

"""The two passes of a Flux2Transformer2DModel in K/V mode, as modules."""

from __future__ import annotations

import torch
from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from torch import Tensor, nn

from retouch.networks.affine import clean_tokens
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

    `prediction` is what the transformer predicts (`velocity`), `channels` are those of its latents.
    `beside` [B, N, …] are further channels of the tokens, in a transformer that takes some: the
    source's token first."""

    outputs = ("velocity",)

    def __init__(self, model: Flux2Transformer2DModel, prediction: str, channels: int = 0):
        super().__init__()
        self.model = model
        self.prediction = prediction
        self.channels = channels

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
        sigma = timestep[:, None, None]
        return velocity(self.prediction, predicted, tokens, sigma, beside, self.channels)


def velocity(
    prediction: str,
    predicted: Tensor,
    tokens: Tensor,
    sigma: Tensor,
    beside: Tensor | None,
    channels: int = 0,
) -> Tensor:
    """The velocity [B, N, C] from what a transformer predicts for noisy `tokens` at `sigma`: the
    velocity, the clean tokens ("sample"), or what becomes of the source's tokens ("affine",
    `retouch.networks.affine`), which are the first channels of `beside` and have latents of so many
    `channels`."""
    if prediction == "velocity":
        return predicted
    if prediction == "affine" and beside is not None:
        predicted = clean_tokens(predicted, beside[..., : tokens.shape[-1]], channels)
    return (tokens - predicted) / sigma


PASSES = {
    "reference": lambda networks, settings: Reference(networks["transformer"]),
    "step": lambda networks, settings: Step(
        networks["transformer"], settings["prediction"], settings["latent_channels"]
    ),
}

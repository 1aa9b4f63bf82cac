"""The three passes of a QwenImage21Transformer2DModel, as modules."""

from __future__ import annotations

from diffusers.models.transformers.transformer_qwenimage21 import QwenImage21Transformer2DModel
from torch import Tensor, nn

from retouch.networks.qwen_image_21 import extend, step


class Reference(nn.Module):
    """Keys and values of `text` and, after it, of the image's `tokens`. The past is that of all
    images and texts before."""

    outputs = ("k", "v")

    def __init__(self, model: QwenImage21Transformer2DModel):
        super().__init__()
        self.model = model

    def forward(
        self, text: Tensor, tokens: Tensor, rope: Tensor, past_k: Tensor, past_v: Tensor
    ) -> tuple[Tensor, Tensor]:
        kind = self.model.dtype
        return extend(self.model, text.to(kind), tokens.to(kind), rope, past_k, past_v)


class Prefix(nn.Module):
    """Keys and values of the `text` after all images."""

    outputs = ("text_k", "text_v")

    def __init__(self, model: QwenImage21Transformer2DModel):
        super().__init__()
        self.model = model

    def forward(self, text: Tensor, rope: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        return extend(self.model, text.to(self.model.dtype), None, rope, k, v)


class Step(nn.Module):
    """The velocity [B, N, C] in float32 of the target's `tokens` [B, N, C].

    `timestep` [B] is 1000 σ. It is rounded to the network's type before it is divided, as in the
    pipeline."""

    outputs = ("velocity",)

    def __init__(self, model: QwenImage21Transformer2DModel):
        super().__init__()
        self.model = model

    def forward(
        self,
        tokens: Tensor,
        timestep: Tensor,
        rope: Tensor,
        k: Tensor,
        v: Tensor,
        text_k: Tensor,
        text_v: Tensor,
    ) -> Tensor:
        kind = self.model.dtype
        time = timestep.to(kind) / 1000
        return step(self.model, tokens.to(kind), time, rope, (k, v), (text_k, text_v)).float()


PASSES = {
    "reference": lambda networks, settings: Reference(networks["transformer"]),
    "prefix": lambda networks, settings: Prefix(networks["transformer"]),
    "step": lambda networks, settings: Step(networks["transformer"]),
}

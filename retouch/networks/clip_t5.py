"""FLUX.1 Kontext's text encoders as modules: CLIP, for a pooled vector, and T5, for all tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import CLIPTextModel, T5EncoderModel


class Pooled(nn.Module):
    """Token ids [B, 77] → CLIP's vector [B, D] at the end of the text, float32."""

    outputs = ("pooled",)

    def __init__(self, model: CLIPTextModel):
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor) -> Tensor:
        # the module's own are a buffer, which has no numbers in outline
        places = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
        return self.model(input_ids, position_ids=places).pooler_output.float()


class Sequence(nn.Module):
    """Token ids [B, T] → T5's hidden states [B, T, D], float32. As in diffusers padding is not
    masked."""

    outputs = ("text",)

    def __init__(self, model: T5EncoderModel):
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor) -> Tensor:
        return self.model(input_ids).last_hidden_state.float()


PASSES = {
    "clip": lambda networks, settings: Pooled(networks["text_encoder"]),
    "t5": lambda networks, settings: Sequence(networks["text_encoder_2"]),
}

"""Qwen2.5-VL's passes as modules: the vision tower, and the language model of Qwen-Image-Edit."""

from __future__ import annotations

from torch import Tensor, nn
from transformers import Qwen2_5_VLModel

from retouch.networks.qwen_vl import encode_image, encode_text


class Vision(nn.Module):
    """The vision tower of `model`; inputs are those of `PatchLayout.inputs`. The tokens are
    float32."""

    outputs = ("vision_tokens",)

    def __init__(self, model: Qwen2_5_VLModel):
        super().__init__()
        self.model = model

    def forward(
        self,
        pixel_values: Tensor,
        rope_cos: Tensor,
        rope_sin: Tensor,
        real: Tensor | None = None,
        restore: Tensor | None = None,
    ) -> Tensor:
        tokens = encode_image(self.model.visual, pixel_values, rope_cos, rope_sin, real, restore)
        return tokens.float()


class Language(nn.Module):
    """Inputs of `retouch.networks.qwen_vl.encode_text` → the last hidden states in float32."""

    outputs = ("hidden",)

    def __init__(self, model: Qwen2_5_VLModel):
        super().__init__()
        self.model = model

    def forward(
        self,
        input_ids: Tensor,
        vision_tokens: Tensor,
        image_index: Tensor,
        rope_cos: Tensor,
        rope_sin: Tensor,
    ) -> Tensor:
        hidden = encode_text(self.model, input_ids, vision_tokens, image_index, rope_cos, rope_sin)
        return hidden.float()


PASSES = {
    "vision": lambda networks, settings: Vision(networks["text_encoder"].model),
    "language": lambda networks, settings: Language(networks["text_encoder"].model),
}

"""FLUX.2 dev's text encoder as a module: the first layers of a Mistral 3's language model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, Mistral3ForConditionalGeneration
from transformers.models.mistral.modeling_mistral import eager_attention_forward

from retouch.networks.qwen3_text import hidden_states

ATTENTION = "retouch_padded"
UNUSED = ("lm_head", "model.vision_tower", "model.multi_modal_projector")


class Text(nn.Module):
    """`ids` and `mask` int64 [B, T] → prompt embeds float32 [B, T, len(layers) · width]: the
    outputs of `layers`, counted from 1. The transformer has no mask, so the padding's hidden states
    are used too."""

    outputs = ("conditioning",)

    def __init__(self, model: Mistral3ForConditionalGeneration, layers: Sequence[int]):
        """The model loses its head, its vision tower, and the layers behind the last of
        `layers`."""
        super().__init__()
        for name in UNUSED:
            model.set_submodule(name, nn.Identity())
        language = model.model.language_model
        language.layers = language.layers[: max(layers)]
        language.config._attn_implementation = ATTENTION
        self.model = model
        self.layers = tuple(layers)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return hidden_states(self.model.model.language_model, self.layers, ids, mask)


def padded_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float,
    **options,
) -> tuple[Tensor, None]:
    """Attention as products and a softmax, which any runtime has. A token that sees none gets
    zeros, as from torch's `scaled_dot_product_attention`. That is padding on the left."""
    attended, _ = eager_attention_forward(
        module, query, key, value, attention_mask, scaling, **options
    )
    sees = (attention_mask == 0).any(-1).transpose(1, 2)  # [B, T, 1]
    return torch.where(sees[..., None], attended, torch.zeros_like(attended)), None


AttentionInterface.register(ATTENTION, padded_attention)
PASSES = {"text": lambda networks, settings: Text(networks["text_encoder"], settings["layers"])}

"""FLUX.2 klein's text encoder as a module: the first layers of a Qwen3."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import MistralModel, Qwen3ForCausalLM, Qwen3Model


class Text(nn.Module):
    """`ids` and `mask` int64 [B, T] → prompt embeds float32 [B, T, len(layers) · width]: the
    outputs of `layers`, counted from 1. The transformer has no mask, so the padding's hidden states
    are used too."""

    outputs = ("conditioning",)

    def __init__(self, model: Qwen3ForCausalLM, layers: Sequence[int]):
        """The model loses the layers behind the last of `layers`, and its head."""
        super().__init__()
        model.set_submodule("lm_head", nn.Identity())
        model.model.layers = model.model.layers[: max(layers)]
        # products and a softmax in float32, which any runtime has
        model.config._attn_implementation = "eager"
        self.model = model
        self.layers = tuple(layers)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return hidden_states(self.model.model, self.layers, ids, mask)


def hidden_states(
    network: Qwen3Model | MistralModel, numbers: Sequence[int], ids: Tensor, mask: Tensor
) -> Tensor:
    """The outputs of the layers `numbers` of a language model, beside one another: float32 [B, T,
    len(numbers) · width]."""
    states = []
    hidden = network.embed_tokens(ids)
    rope = rotary(network.config, ids, hidden.dtype)
    visible = attention_mask(mask, hidden.dtype)
    for number, layer in enumerate(network.layers, start=1):
        hidden = layer(hidden, attention_mask=visible, position_embeddings=rope)
        if number in numbers:
            states.append(hidden)
    return torch.cat(states, -1).float()


def rotary(config, ids: Tensor, kind: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines [1, T, head size] of positions from 0, as in `Qwen3RotaryEmbedding` of the
    default type."""
    even = torch.arange(0, config.head_dim, 2, dtype=torch.float32, device=ids.device)
    frequency = 1.0 / config.rope_parameters["rope_theta"] ** (even / config.head_dim)
    angle = torch.arange(ids.shape[1], dtype=torch.float32, device=ids.device)[:, None] * frequency
    angle = torch.cat([angle, angle], -1)[None]
    return angle.cos().to(kind), angle.sin().to(kind)


def attention_mask(mask: Tensor, kind: torch.dtype) -> Tensor:
    """The attention mask [B, 1, T, T]: 0 where a token attends to another, else the lowest number.
    A token attends to itself and to earlier ones, without padding."""
    place = torch.arange(mask.shape[1], device=mask.device)
    hidden = ~((place <= place[:, None]) & mask[:, None, None].bool())
    return hidden.to(kind) * torch.finfo(kind).min


PASSES = {"text": lambda networks, settings: Text(networks["text_encoder"], settings["layers"])}

"""Qwen3-VL's passes in torch: images to tokens, and a part of a chat to hidden states, keys and
values.

`Qwen3VLModel.forward` packs images of all sizes into one sequence, and derives positions from
values, which cannot be exported. Here a batch has images of one size, and positions are inputs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Qwen3VLModel

from retouch.networks.qwen_vl import attend_over_image


class Vision(nn.Module):
    """Inputs of `Qwen3PatchLayout.inputs` → vision tokens float32 [B, V, parts × width]: the last
    layer's, and after them those that the first layers of the language model add."""

    outputs = ("vision_tokens",)

    def __init__(self, model: Qwen3VLModel):
        super().__init__()
        self.model = model

    def forward(
        self,
        pixel_values: Tensor,
        rope_cos: Tensor,
        rope_sin: Tensor,
        place_index: Tensor,
        place_weight: Tensor,
    ) -> Tensor:
        visual = self.model.visual
        hidden = visual.patch_embed(pixel_values.flatten(0, 1))
        hidden = hidden.unflatten(0, pixel_values.shape[:2])
        places = (visual.pos_embed(place_index) * place_weight[..., None]).sum(2)
        hidden = hidden + places.to(hidden.dtype)
        early = []
        for index, block in enumerate(visual.blocks):
            normed = block.norm1(hidden)
            hidden = hidden + attend_over_image(block.attn, normed, rope_cos, rope_sin)
            hidden = hidden + block.mlp(block.norm2(hidden))
            if index in visual.deepstack_visual_indexes:
                merger = visual.deepstack_merger_list[len(early)]
                early.append(_merged(merger, hidden))
        return torch.cat([_merged(visual.merger, hidden), *early], -1).float()


class Language(nn.Module):
    """Hidden states [B, T, width] in float32 before the final norm, of a part of a chat, and the
    keys (rotated) and values of all tokens up to its end.

    `input_ids` [B, T]; `vision_tokens` of `Vision` [B, V, parts × width] at `image_index` [B, V],
    which may be none; rotary tables [B, T, head size]; keys and values of the chat before [B,
    layers, P, heads, head size], which may be empty. Rows may be padded on the right only."""

    outputs = ("hidden", "k", "v")

    def __init__(self, model: Qwen3VLModel):
        super().__init__()
        self.model = model

    def forward(
        self,
        input_ids: Tensor,
        vision_tokens: Tensor,
        image_index: Tensor,
        rope_cos: Tensor,
        rope_sin: Tensor,
        past_k: Tensor,
        past_v: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        language = self.model.language_model
        hidden = language.embed_tokens(input_ids)
        width = hidden.shape[-1]
        place = image_index[..., None].expand(-1, -1, width)
        image, *early = vision_tokens.to(hidden.dtype).split(width, -1)
        hidden = hidden.scatter(1, place, image)
        tables = rope_cos.to(hidden.dtype)[:, :, None], rope_sin.to(hidden.dtype)[:, :, None]
        past = past_k.shape[2]
        places = torch.arange(past + input_ids.shape[1], device=past_k.device)
        causal = places <= places[past:, None]
        keys = []
        values = []
        pasts = zip(past_k.unbind(1), past_v.unbind(1))
        for index, (layer, layer_past) in enumerate(zip(language.layers, pasts)):
            normed = layer.input_layernorm(hidden)
            mixed, key, value = _attend(layer.self_attn, normed, tables, layer_past, causal)
            hidden = hidden + mixed
            hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
            if index < len(early):
                hidden = hidden.scatter_add(1, place, early[index])
            keys.append(key)
            values.append(value)
        return hidden.float(), torch.stack(keys, 1), torch.stack(values, 1)


def _merged(merger, hidden: Tensor) -> Tensor:
    """Patches [B, P, C] as tokens [B, V, width]."""
    return merger(hidden.flatten(0, 1)).unflatten(0, (hidden.shape[0], -1))


def _attend(
    attn, x: Tensor, tables: tuple[Tensor, Tensor], past: tuple[Tensor, Tensor], mask: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Causal attention of x [B, T, width] over the past and itself: the projected output, and the
    keys and values of both, [B, P + T, heads, head size]."""
    size = attn.head_dim
    query = _rotated(attn.q_norm(attn.q_proj(x).unflatten(-1, (-1, size))), tables)
    key = _rotated(attn.k_norm(attn.k_proj(x).unflatten(-1, (-1, size))), tables)
    value = attn.v_proj(x).unflatten(-1, (-1, size))
    key = torch.cat([past[0], key], 1)
    value = torch.cat([past[1], value], 1)
    groups = attn.num_key_value_groups
    out = F.scaled_dot_product_attention(
        query.transpose(1, 2),
        key.repeat_interleave(groups, 2).transpose(1, 2),
        value.repeat_interleave(groups, 2).transpose(1, 2),
        mask,
        scale=attn.scaling,
    )
    return attn.o_proj(out.transpose(1, 2).flatten(2)), key, value


def _rotated(x: Tensor, tables: tuple[Tensor, Tensor]) -> Tensor:
    cos, sin = tables
    low, high = x.chunk(2, -1)
    return x * cos + torch.cat([-high, low], -1) * sin


PASSES = {
    "vision": lambda networks, settings: Vision(networks["text_encoder"].model),
    "language": lambda networks, settings: Language(networks["text_encoder"].model),
}

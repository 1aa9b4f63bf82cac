"""The parser's two passes in torch: images to tokens, prompt and tokens to hidden states.

`Qwen2_5_VLModel.forward` packs images of all sizes into one sequence and finds its windows from their values, which no
exporter can follow. Here a batch holds images of one size and attention is over the whole image.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import Qwen2_5_VLForConditionalGeneration

from retouch.networks import MetaQueries


def see(visual, patches: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Patches [B, P, C] in merge order, rotary tables [P, head size] → vision tokens [B, P / merge², width].

    Raises ValueError for a tower with windowed attention.
    """
    if len(visual.fullatt_block_indexes) != len(visual.blocks):
        raise ValueError("the vision tower has windowed attention; only full attention in every block is supported")
    batch, count, _ = patches.shape
    hidden = visual.patch_embed(patches.flatten(0, 1)).unflatten(0, (batch, count))
    for block in visual.blocks:
        hidden = hidden + _attend(block.attn, block.norm1(hidden), cos, sin)
        hidden = hidden + block.mlp(block.norm2(hidden))
    merged = visual.merger(hidden.flatten(0, 1))
    return merged.reshape(batch, -1, merged.shape[-1])


def read(model: Qwen2_5_VLForConditionalGeneration, meta_queries: MetaQueries, vision_tokens: Tensor, ids: Tensor,
         positions: Tensor, image_index: Tensor, query_index: Tensor) -> tuple[Tensor, Tensor]:
    """Hidden states at the meta-queries [B, Q, width] and at the image's cells [B, V, width]; inputs as `Prompts`."""
    width = vision_tokens.shape[-1]
    embedded = model.get_input_embeddings()(ids)
    embedded = embedded.scatter(1, image_index[..., None].expand(-1, -1, width), vision_tokens)
    queries = meta_queries.weight.expand(ids.shape[0], -1, -1)
    embedded = embedded.scatter(1, query_index[..., None].expand(-1, -1, width), queries)
    said = model.model.language_model(inputs_embeds=embedded, position_ids=positions, use_cache=False)
    hidden = said.last_hidden_state
    return _gather(hidden, query_index), _gather(hidden, image_index)


def _gather(hidden: Tensor, index: Tensor) -> Tensor:
    return hidden.gather(1, index[..., None].expand(-1, -1, hidden.shape[-1]))


def _attend(attn, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    q, k, v = attn.qkv(x).unflatten(-1, (3, attn.num_heads, attn.head_dim)).unbind(2)
    cos, sin = cos[:, None], sin[:, None]
    q, k, v = (t.transpose(1, 2) for t in (q * cos + _half_turn(q) * sin, k * cos + _half_turn(k) * sin, v))
    out = F.scaled_dot_product_attention(q, k, v, scale=attn.scaling)
    return attn.proj(out.transpose(1, 2).flatten(2))


def _half_turn(x: Tensor) -> Tensor:
    low, high = x.chunk(2, -1)
    return torch.cat([-high, low], -1)

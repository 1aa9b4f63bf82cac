"""Qwen2.5-VL's passes in torch: images to tokens, and a prompt with its images' tokens to hidden
states.

`Qwen2_5_VLModel.forward` packs images of all sizes into one sequence and derives windows from
values, which cannot be exported. Here a batch has images of one size, and the host pads windows to
one length."""

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import Qwen2_5_VLModel

from retouch.networks.instructx import MetaQueries


def encode_image(
    visual,
    patches: Tensor,
    cos: Tensor,
    sin: Tensor,
    real: Tensor | None = None,
    restore: Tensor | None = None,
) -> Tensor:
    """Inputs as `PatchLayout.inputs` makes them → vision tokens [B, V, width].

    ValueError when the inputs of a tower with windowed attention have no windows.
    """
    whole = set(visual.fullatt_block_indexes)
    if real is None and len(whole) != len(visual.blocks):
        raise ValueError("the vision tower has windowed attention; it needs its images by window")
    hidden = visual.patch_embed(patches.flatten(0, -2)).unflatten(0, patches.shape[:-1])
    for index, block in enumerate(visual.blocks):
        normed = block.norm1(hidden)
        if real is None or index in whole:
            hidden = hidden + _over_the_image(block.attn, normed, cos, sin, real)
        else:
            hidden = hidden + _within_windows(block.attn, normed, cos, sin, real)
        hidden = hidden + block.mlp(block.norm2(hidden))
    merged = visual.merger(hidden.flatten(0, -2)).unflatten(0, (patches.shape[0], -1))
    return merged if restore is None else _gather(merged, restore)


def encode_queries(
    model: Qwen2_5_VLModel,
    meta_queries: MetaQueries,
    vision_tokens: Tensor,
    ids: Tensor,
    image_index: Tensor,
    query_index: Tensor,
    cos: Tensor,
    sin: Tensor,
) -> tuple[Tensor, Tensor]:
    """Hidden states at the meta-queries [B, Q, width] and at the image's tokens [B, V, width].

    `vision_tokens` [B, V, width] as by `encode_image`; `ids` [B, T] and the indexes as in
    `retouch.families.instructx.prompt.Prompts`, with rotary tables [B, T, head size] of their
    positions. Rows may be padded on the right only, because the only mask is causal."""
    hidden = _scatter(model.language_model.embed_tokens(ids), image_index, vision_tokens)
    queries = meta_queries.weight.expand(ids.shape[0], -1, -1)
    hidden = _run_layers(model, _scatter(hidden, query_index, queries), cos, sin)
    return _gather(hidden, query_index), _gather(hidden, image_index)


def encode_text(
    model: Qwen2_5_VLModel,
    ids: Tensor,
    vision_tokens: Tensor,
    image_index: Tensor,
    cos: Tensor,
    sin: Tensor,
) -> Tensor:
    """The last hidden states [B, T, width] of prompts `ids` [B, T] with images' tokens [B, V,
    width] at `image_index` [B, V], with rotary tables [B, T, head size]. Rows may be padded on the
    right only, because the only mask is causal."""
    return _run_layers(
        model,
        _scatter(model.language_model.embed_tokens(ids), image_index, vision_tokens),
        cos,
        sin,
    )


def _run_layers(model: Qwen2_5_VLModel, hidden: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    tables = cos.to(hidden.dtype), sin.to(hidden.dtype)
    for layer in model.language_model.layers:
        hidden = layer(hidden, attention_mask=None, position_embeddings=tables)
    return model.language_model.norm(hidden)


def _scatter(hidden: Tensor, index: Tensor, tokens: Tensor) -> Tensor:
    """`hidden` [B, T, width] with `tokens` [B, N, width] in the places `index` [B, N]."""
    return hidden.scatter(
        1, index[..., None].expand(-1, -1, hidden.shape[-1]), tokens.to(hidden.dtype)
    )


def _gather(hidden: Tensor, index: Tensor) -> Tensor:
    return hidden.gather(1, index[..., None].expand(-1, -1, hidden.shape[-1]))


def _within_windows(attn, x: Tensor, cos: Tensor, sin: Tensor, real: Tensor) -> Tensor:
    """Attention within every window of x [B, W, S, width]."""
    parts = (part.flatten(0, 1) for part in (x, cos, sin, real))
    mixed = attend_over_image(attn, *parts)
    return mixed.unflatten(0, x.shape[:2])


def _over_the_image(attn, x: Tensor, cos: Tensor, sin: Tensor, real: Tensor | None) -> Tensor:
    """Attention over the whole image x, [B, P, width] or [B, W, S, width]."""
    if real is None:
        return attend_over_image(attn, x, cos, sin)
    mixed = attend_over_image(attn, *(part.flatten(1, 2) for part in (x, cos, sin, real)))
    return mixed.unflatten(1, x.shape[1:3])


def attend_over_image(
    attn, x: Tensor, cos: Tensor, sin: Tensor, real: Tensor | None = None
) -> Tensor:
    """Attention over x [B, N, width] with tables [B, N, head size]; patches that are not `real`
    bool [B, N] are masked."""
    q, k, v = attn.qkv(x).unflatten(-1, (3, attn.num_heads, attn.head_dim)).unbind(2)
    cos = cos[:, :, None]
    sin = sin[:, :, None]
    q, k = ((t.float() * cos + _half_turn(t.float()) * sin).to(v.dtype) for t in (q, k))
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    mask = None if real is None else real[:, None, None]
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=attn.scaling)
    return attn.proj(out.transpose(1, 2).flatten(2))


def _half_turn(x: Tensor) -> Tensor:
    low, high = x.chunk(2, -1)
    return torch.cat([-high, low], -1)

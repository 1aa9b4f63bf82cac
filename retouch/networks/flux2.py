"""The passes of a Flux2Transformer2DModel, with position ids of their own for every edit of a
batch: two in K/V mode, and one in which all tokens attend to one another. The latter can also run a
part of the tokens over the keys and values that others had in a step before.

`diffusers.Flux2Transformer2DModel.forward` uses the first row's position ids for the whole batch,
so edits of different regions could not share one. These passes use its weights and its formulas
(`transformer_flux2.py`) and take ids [B, N, 4]. In K/V mode the reference runs apart from the
target.

A transformer may take more channels than a token has. They hold the source's token in the same
place, as in FLUX.1's control models, and the features of boxes. A reference token has zeros there.

In bfloat16 the time embedding, the rotations and the scale of the attention are float32, as in
diffusers. The scale is multiplied into the rotated queries, because as a bfloat16 constant it would
be 0.4 % off."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from torch import Tensor

REFERENCE_TIMESTEP = 0.0  # of the reference tokens' modulation


def reference(model: Flux2Transformer2DModel, tokens: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Keys (rotated) and values of every layer, two tensors [B, layers, R, heads, head size].

    `tokens` [B, R, C] of the reference have C ≤ in_channels, and `ids` are [B, R, 4]. The result
    depends on the image alone."""
    timestep = torch.full_like(tokens[:, 0, 0], REFERENCE_TIMESTEP)
    emb = _time(model, timestep)
    rope = _rope(model, ids)
    image_mod, single_mod = (
        _modulation(layer, emb)
        for layer in (model.double_stream_modulation_img, model.single_stream_modulation)
    )
    missing = model.config["in_channels"] - tokens.shape[-1]
    hidden = model.x_embedder(F.pad(tokens, (0, missing)))
    keys = []
    values = []
    for block in model.transformer_blocks:
        hidden, k, v = _image_only(block, hidden, image_mod, rope)
        keys.append(k)
        values.append(v)
    *blocks, last = model.single_transformer_blocks
    for block in blocks:
        hidden, k, v = _single(block, hidden, single_mod[0], rope)
        keys.append(k)
        values.append(v)
    k, v = _keys_and_values(last, hidden, single_mod[0], rope)
    keys.append(k)
    values.append(v)
    return torch.stack(keys, 1), torch.stack(values, 1)


def step(
    model: Flux2Transformer2DModel,
    tokens: Tensor,
    timestep: Tensor,
    conditioning: Tensor,
    ids: Tensor,
    conditioning_ids: Tensor,
    keys: Tensor,
    values: Tensor,
) -> Tensor:
    """The model's prediction [B, N, out_channels] for target `tokens` [B, N, in_channels] at
    `timestep` [B] (sigma), in K/V mode.

    `conditioning` is [B, Q, J] with ids [B, Q, 4]. `keys` and `values` are those of `reference`.
    The target may be any subset of the image's tokens, those at `ids` [B, N, 4]."""
    return _step(model, tokens, timestep, conditioning, ids, conditioning_ids, keys, values)


def keeping_step(
    model: Flux2Transformer2DModel,
    tokens: Tensor,
    references: Tensor,
    timestep: Tensor,
    conditioning: Tensor,
    ids: Tensor,
    conditioning_ids: Tensor,
    keys: Tensor,
    values: Tensor,
    kept: Tensor,
    guidance: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """As `step`, with the tokens of `references` [B, R, in_channels] in full attention with the
    others, at `ids` [B, N + R, 4], and with the keys and values of the tokens at `kept` [B, M], two
    tensors [B, layers, M, heads, head size]. `kept` counts from the first of the target's tokens.

    `keys` and `values` [B, layers, P, heads, head size] are what such a step has kept of P other
    tokens, which are not here. `guidance` [B] is the scale of a network that embeds it."""
    every = torch.cat([tokens, references], 1)
    places = (kept + conditioning.shape[1])[:, :, None, None]
    own: list[list[Tensor]] = []

    def keep(*pair: Tensor) -> None:
        own.append([part.gather(1, places.expand(-1, -1, *part.shape[2:])) for part in pair])

    prediction = _step(
        model, every, timestep, conditioning, ids, conditioning_ids, keys, values, guidance, keep
    )
    own_keys, own_values = (torch.stack(layers, 1) for layers in zip(*own))
    return prediction[:, : tokens.shape[1]], own_keys, own_values


def _step(
    model: Flux2Transformer2DModel,
    tokens: Tensor,
    timestep: Tensor,
    conditioning: Tensor,
    ids: Tensor,
    conditioning_ids: Tensor,
    keys: Tensor,
    values: Tensor,
    guidance: Tensor | None = None,
    keep: Callable[[Tensor, Tensor], None] = lambda keys, values: None,
) -> Tensor:
    """The prediction for all `tokens`. `keep` gets the keys and values of text and tokens, layer by
    layer: those of all layers at once would take gigabytes."""
    emb = _time(model, timestep)
    if guidance is not None:
        emb = emb + _embedded(model, guidance, model.time_guidance_embed.guidance_embedder)
    image_mod, text_mod, single_mod = (
        _modulation(layer, emb)
        for layer in (
            model.double_stream_modulation_img,
            model.double_stream_modulation_txt,
            model.single_stream_modulation,
        )
    )
    rope = tuple(
        torch.cat(pair, 1) for pair in zip(_rope(model, conditioning_ids), _rope(model, ids))
    )
    hidden = model.x_embedder(tokens)
    text = model.context_embedder(conditioning)
    count = conditioning.shape[1]
    prefixes = zip(keys.unbind(1), values.unbind(1))
    for block in model.transformer_blocks:
        text, hidden, *pair = _double(
            block, text, hidden, text_mod, image_mod, rope, next(prefixes)
        )
        keep(*pair)
    hidden = torch.cat([text, hidden], 1)
    for block in model.single_transformer_blocks:
        hidden, *pair = _single(block, hidden, single_mod[0], rope, next(prefixes))
        keep(*pair)
    return model.proj_out(model.norm_out(hidden[:, count:], emb))


def _time(model, timestep: Tensor) -> Tensor:
    return _embedded(model, timestep, model.time_guidance_embed.timestep_embedder)


def _embedded(model, number: Tensor, embedder) -> Tensor:
    """The embedding [B, D] of a sigma or of a scale [B]."""
    return embedder(model.time_guidance_embed.time_proj(number * 1000).to(model.dtype))


def _modulation(layer, emb: Tensor):
    """Shift, scale and gate, once or twice."""
    return layer.split(layer(emb), layer.mod_param_sets)


def _double(block, text, hidden, text_mod, image_mod, rope, prefix):
    attn = block.attn
    (attention, feed_forward) = image_mod
    (text_attention, text_feed_forward) = text_mod
    x = _modulate(block.norm1(hidden), attention)
    c = _modulate(block.norm1_context(text), text_attention)
    q = torch.cat(
        [
            _heads(attn.add_q_proj(c), attn, attn.norm_added_q),
            _heads(attn.to_q(x), attn, attn.norm_q),
        ],
        1,
    )
    k = torch.cat(
        [
            _heads(attn.add_k_proj(c), attn, attn.norm_added_k),
            _heads(attn.to_k(x), attn, attn.norm_k),
        ],
        1,
    )
    v = torch.cat([_heads(attn.add_v_proj(c), attn), _heads(attn.to_v(x), attn)], 1)
    k = _rotate(k, rope)
    out = _attend(_query(q, rope), k, v, prefix)
    count = text.shape[1]
    hidden = hidden + attention[2] * attn.to_out[0](out[:, count:])
    hidden = hidden + feed_forward[2] * block.ff(_modulate(block.norm2(hidden), feed_forward))
    text = text + text_attention[2] * attn.to_add_out(out[:, :count])
    text = text + text_feed_forward[2] * block.ff_context(
        _modulate(block.norm2_context(text), text_feed_forward)
    )
    return text, hidden, k, v


def _image_only(block, hidden, image_mod, rope):
    attention, feed_forward = image_mod
    q, k, v = _image_qkv(block.attn, _modulate(block.norm1(hidden), attention), rope)
    hidden = hidden + attention[2] * block.attn.to_out[0](_attend(q, k, v))
    hidden = hidden + feed_forward[2] * block.ff(_modulate(block.norm2(hidden), feed_forward))
    return hidden, k, v


def _single(block, hidden, modulation, rope, prefix=None):
    attn = block.attn
    q, k, v, mlp = _wide(block, hidden, modulation)
    q = _query(_heads(q, attn, attn.norm_q), rope)
    k = _rotate(_heads(k, attn, attn.norm_k), rope)
    v = _heads(v, attn)
    out = torch.cat([_attend(q, k, v, prefix), attn.mlp_act_fn(mlp)], -1)
    return hidden + modulation[2] * attn.to_out(out), k, v


def _keys_and_values(block, hidden, modulation, rope):
    """Those of `_single` alone."""
    attn = block.attn
    _, k, v, _ = _wide(block, hidden, modulation)
    return _rotate(_heads(k, attn, attn.norm_k), rope), _heads(v, attn)


def _wide(block, hidden, modulation):
    """Queries, keys, values and the MLP's input, not yet in heads."""
    wide = block.attn.to_qkv_mlp_proj(_modulate(block.norm(hidden), modulation))
    inner = block.attn.inner_dim
    return torch.split(wide, [inner] * 3 + [wide.shape[-1] - 3 * inner], dim=-1)


def _image_qkv(attn, x, rope):
    q = _heads(attn.to_q(x), attn, attn.norm_q)
    k = _heads(attn.to_k(x), attn, attn.norm_k)
    return _query(q, rope), _rotate(k, rope), _heads(attn.to_v(x), attn)


def _modulate(x: Tensor, modulation) -> Tensor:
    shift, scale, _ = modulation
    return (1 + scale) * x + shift


def _heads(x: Tensor, attn, norm=None) -> Tensor:
    x = x.unflatten(-1, (-1, attn.head_dim))
    return norm(x) if norm else x


def _attend(q: Tensor, k: Tensor, v: Tensor, prefix=None) -> Tensor:
    """Softmax attention over [prefix, k] with scaled q, all [B, S, heads, head size] → [B, S, heads
    × head size]."""
    if prefix is not None:
        k = torch.cat([prefix[0], k], 1)
        v = torch.cat([prefix[1], v], 1)
    out = F.scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), scale=1.0
    )
    return out.transpose(1, 2).flatten(2)


def _rope(model, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines [B, S, 1, head size] in float32, repeated for pairs as in
    `apply_rotary_emb`. The first sine of a pair is negative."""
    angles = []
    for axis, dim in enumerate(model.pos_embed.axes_dim):
        even = torch.arange(0, dim, 2, dtype=torch.float32, device=ids.device)
        frequency = torch.exp(even * (-math.log(model.pos_embed.theta) / dim))
        angles.append((ids[..., axis, None] * frequency).repeat_interleave(2, -1))
    angle = torch.cat(angles, -1)[:, :, None]
    sign = 1 - 2 * (torch.arange(angle.shape[-1], device=ids.device) % 2 == 0).float()
    return angle.cos(), angle.sin() * sign


def _query(q: Tensor, rope) -> Tensor:
    return _rotate(q, rope, q.shape[-1] ** -0.5)


def _rotate(x: Tensor, rope, scale: float = 1.0) -> Tensor:
    """`x` [B, S, heads, head size] rotated and scaled in float32; returned in its own type."""
    cos, sin = rope
    wide = x.float()
    turned = wide * cos + wide.index_select(-1, _swapped(x)) * sin
    return (turned if scale == 1 else turned * scale).type_as(x)


def _swapped(x: Tensor) -> Tensor:
    """Indices that swap the numbers of every pair: 1, 0, 3, 2, …"""
    return torch.arange(x.shape[-1], device=x.device) ^ 1

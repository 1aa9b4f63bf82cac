"""The passes of a QwenImage21Transformer2DModel, with the formulas of
`transformer_qwenimage21.py`.

Its attention is block-causal: text sees what stands before it, and an image's tokens see one
another too. Text and references are modulated at time 0. So their keys and values depend on what
stands before them alone, and not on the step, the seed or the target.

Rotary tables are inputs. As in `retouch.networks.flux2`, rotations and the scale of the attention
are float32. The past of `k` and `v` may be empty: no tokens stand before the first text."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from diffusers.models.transformers.transformer_qwenimage21 import QwenImage21Transformer2DModel
from torch import Tensor

from retouch.networks.rotary import pair_tables, rotated

TIME_CHANNELS = 256  # of the sinusoidal embedding
MAX_PERIOD = 10000


def extend(
    model: QwenImage21Transformer2DModel,
    text: Tensor,
    tokens: Tensor | None,
    rope: Tensor,
    k: Tensor,
    v: Tensor,
) -> tuple[Tensor, Tensor]:
    """Keys (rotated) and values of a `text` [B, T, J] and, after it, of an image's `tokens` [B, N,
    C], two tensors [B, layers, T + N, heads, head size].

    `k` and `v` [B, layers, P, heads, head size] are those of all that stands before, and `rope` [B,
    T + N, 2, half the head size] are cosines and sines."""
    hidden = model.txt_in(text)
    if tokens is not None:
        hidden = torch.cat([hidden, model.img_in(tokens)], 1)
    count = text.shape[1]
    modulation = _modulation(model, _time(model, torch.zeros_like(text[:, 0, 0])))
    tables = pair_tables(rope)
    causal = _causal_mask(count, k.shape[2], k.device)
    keys = []
    values = []
    layers = list(zip(model.transformer_blocks, k.unbind(1), v.unbind(1)))
    for index, (block, past_k, past_v) in enumerate(layers):
        x = _attention_input(block, hidden, modulation)
        key, value = _keys_and_values(block, x, tables)
        keys.append(key)
        values.append(value)
        if index == len(layers) - 1:
            break  # nothing reads its output
        query = _queries(block, x, tables)
        key = torch.cat([past_k, key], 1)
        value = torch.cat([past_v, value], 1)
        seen = past_k.shape[1] + count
        mixed = _attend(query[:, :count], key[:, :seen], value[:, :seen], causal)
        if tokens is not None:
            mixed = torch.cat([mixed, _attend(query[:, count:], key, value)], 1)
        hidden = _after(block, hidden, mixed, modulation)
    return torch.stack(keys, 1), torch.stack(values, 1)


def step(
    model: QwenImage21Transformer2DModel,
    tokens: Tensor,
    timestep: Tensor,
    rope: Tensor,
    *prefixes: tuple[Tensor, Tensor],
) -> Tensor:
    """The velocity of the target's `tokens` [B, N, C] at `timestep` [B] in 0..1, over the keys and
    values of `prefixes`, which stand before it in that order."""
    embedded = _time(model, timestep)
    modulation = _modulation(model, embedded)
    tables = pair_tables(rope)
    hidden = model.img_in(tokens)
    pasts = [(keys.unbind(1), values.unbind(1)) for keys, values in prefixes]
    for index, block in enumerate(model.transformer_blocks):
        x = _attention_input(block, hidden, modulation)
        key, value = _keys_and_values(block, x, tables)
        key = torch.cat([*(keys[index] for keys, _ in pasts), key], 1)
        value = torch.cat([*(values[index] for _, values in pasts), value], 1)
        mixed = _attend(_queries(block, x, tables), key, value)
        hidden = _after(block, hidden, mixed, modulation)
    return model.proj_out(model.norm_out(hidden, embedded))


def _time(model, timestep: Tensor) -> Tensor:
    """The embedding [B, D] of times in 0..1. diffusers keeps the frequencies in a buffer, which a
    module without weights has no numbers for."""
    half = TIME_CHANNELS // 2
    exponents = torch.arange(half, dtype=torch.float32, device=timestep.device) / half
    frequencies = torch.exp(-math.log(MAX_PERIOD) * exponents)
    angles = (1000.0 * timestep.float())[:, None] * frequencies
    waves = torch.cat([angles.cos(), angles.sin()], -1)
    return model.time_text_embed.timestep_embedder(waves.to(timestep.dtype))


def _modulation(model, embedded: Tensor) -> tuple[Tensor, ...]:
    """Scale and gate of the attention, then of the MLP, [B, 1, D]; all blocks share them."""
    return model.modulation(embedded)[:, None].chunk(4, -1)


def _attention_input(block, hidden: Tensor, modulation) -> Tensor:
    return block.img_norm1(hidden) * (1 + modulation[0])


def _queries(block, x: Tensor, tables) -> Tensor:
    """Rotated and scaled queries of a block [B, N, heads, head size]."""
    query = _in_heads(block, block.attn.to_q(x))
    return rotated(block.attn.norm_q(query), tables, query.shape[-1] ** -0.5)


def _keys_and_values(block, x: Tensor, tables) -> tuple[Tensor, Tensor]:
    """Rotated keys, and values, of a block [B, N, heads, head size]."""
    attn = block.attn
    key = attn.norm_k(_in_heads(block, attn.to_k(x)))
    return rotated(key, tables), _in_heads(block, attn.to_v(x))


def _in_heads(block, x: Tensor) -> Tensor:
    return x.unflatten(-1, (-1, block.attn.inner_dim // block.attn.heads))


def _after(block, hidden: Tensor, mixed: Tensor, modulation) -> Tensor:
    """The hidden states after a block, with its attention's output before the projection."""
    _, gate, mlp_scale, mlp_gate = modulation
    hidden = hidden + gate.tanh() * block.attn.to_out[0](mixed)
    x = block.img_norm2(hidden) * (1 + mlp_scale)
    return hidden + mlp_gate.tanh() * block.img_mlp(x)


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax attention of scaled queries, all [B, S, heads, head size] → [B, S, heads × head
    size]."""
    out = F.scaled_dot_product_attention(
        query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2), mask, scale=1.0
    )
    return out.transpose(1, 2).flatten(2)


def _causal_mask(count: int, past: int, device) -> Tensor:
    """What `count` text tokens see: all of the `past`, and one another up to themselves; bool
    [count, past + count]."""
    places = torch.arange(past + count, device=device)
    return places <= past + torch.arange(count, device=device)[:, None]

"""A QwenImageTransformer2DModel's pass in real numbers, with the formulas of
`transformer_qwenimage.py`.

diffusers' own forward rotates complex numbers and splits a batch by its values, which cannot be
exported. Here a rotary table is an input. With `zero_cond_t` references are modulated by a second
time, 0. As in `retouch.networks.flux2`, rotations and the scale of the attention are float32."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers.models.transformers.transformer_qwenimage import QwenImageTransformer2DModel
from torch import Tensor, nn

from retouch.networks.rotary import pair_tables, rotated


class Step(nn.Module):
    """The velocity [B, N, C] in float32 of the target's `tokens` [B, N, C] beside `references` [B,
    R, C].

    Inputs are those of `step`, but `timestep` [B] is 1000 σ. It is rounded to the network's type
    before it is divided, as in the pipelines."""

    outputs = ("velocity",)

    def __init__(self, model: QwenImageTransformer2DModel):
        super().__init__()
        self.model = model

    def forward(
        self,
        tokens: Tensor,
        references: Tensor,
        text: Tensor,
        timestep: Tensor,
        rope: Tensor,
        text_rope: Tensor,
    ) -> Tensor:
        kind = self.model.dtype
        latents = tokens.to(kind), references.to(kind)
        return step(
            self.model, *latents, text.to(kind), timestep.to(kind) / 1000, rope, text_rope
        ).float()


def step(
    model: QwenImageTransformer2DModel,
    tokens: Tensor,
    references: Tensor,
    text: Tensor,
    timestep: Tensor,
    rope: Tensor,
    text_rope: Tensor,
) -> Tensor:
    """The velocity of the target's `tokens` [B, N, C] beside `references` [B, R, C].

    `text` [B, T, J]; `timestep` [B] in 0..1; `rope` [B, N + R, 2, D] and `text_rope` [B, T, 2, D]
    are cosines and sines of half the head size."""
    hidden = model.img_in(torch.cat([tokens, references], 1))
    text_hidden = model.txt_in(model.txt_norm(text))
    times = timestep[:, None]
    still = None
    if model.zero_cond_t:
        times = torch.cat([times, torch.zeros_like(times)], 1)
        still = torch.cat(
            [
                torch.zeros_like(tokens[..., :1], dtype=torch.bool),
                torch.ones_like(references[..., :1], dtype=torch.bool),
            ],
            1,
        )
    embedded = model.time_text_embed(times.flatten(), hidden).unflatten(0, (-1, times.shape[1]))
    tables = pair_tables(torch.cat([text_rope, rope], 1))
    *blocks, last = model.transformer_blocks
    for block in blocks:
        hidden, text_out, text_mod = _attended(block, hidden, text_hidden, embedded, still, tables)
        text_hidden = _text_after(block, text_hidden, text_out, text_mod)
    hidden, _, _ = _attended(
        last, hidden, text_hidden, embedded, still, tables
    )  # its text output is not used
    return model.proj_out(model.norm_out(hidden[:, : tokens.shape[1]], embedded[:, 0]))


def _attended(
    block,
    hidden: Tensor,
    text_hidden: Tensor,
    embedded: Tensor,
    still: Tensor | None,
    tables: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """The image's hidden states after a block, the text's output of the attention, and the text's
    modulation."""
    image = block.img_mod(embedded).chunk(6, -1)
    text_mod = block.txt_mod(embedded[:, :1]).chunk(6, -1)
    if still is not None:
        image = [torch.where(still, part[:, 1:], part[:, :1]) for part in image]
    mixed, text_out = _attend(
        block.attn,
        _modulated(block.img_norm1(hidden), *image[:2]),
        _modulated(block.txt_norm1(text_hidden), *text_mod[:2]),
        tables,
    )
    hidden = hidden + image[2] * block.attn.to_out[0](mixed)
    return (
        hidden + image[5] * block.img_mlp(_modulated(block.img_norm2(hidden), *image[3:5])),
        text_out,
        text_mod,
    )


def _text_after(
    block, text_hidden: Tensor, text_out: Tensor, text_mod: tuple[Tensor, ...]
) -> Tensor:
    """The text's hidden states after a block."""
    hidden = text_hidden + text_mod[2] * block.attn.to_add_out(text_out)
    modulated = _modulated(block.txt_norm2(hidden), *text_mod[3:5])
    return hidden + text_mod[5] * block.txt_mlp(modulated)


def _modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return x * (1 + scale) + shift


def _attend(
    attn, image: Tensor, text: Tensor, tables: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """Joint attention over text and image: the image's and the text's outputs, before they are
    projected."""
    size = attn.inner_dim // attn.heads
    count = text.shape[1]

    def heads(text: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        return text.unflatten(-1, (-1, size)), image.unflatten(-1, (-1, size))

    def normal(pair: tuple[Tensor, Tensor], *norms) -> Tensor:
        return torch.cat([norm(part) for norm, part in zip(norms, pair)], 1)

    q = normal(heads(attn.add_q_proj(text), attn.to_q(image)), attn.norm_added_q, attn.norm_q)
    k = normal(heads(attn.add_k_proj(text), attn.to_k(image)), attn.norm_added_k, attn.norm_k)
    v = torch.cat(heads(attn.add_v_proj(text), attn.to_v(image)), 1)
    q = rotated(q, tables, size**-0.5)
    k = rotated(k, tables)
    q, k, v = (part.transpose(1, 2) for part in (q, k, v))
    mixed = F.scaled_dot_product_attention(q, k, v, scale=1.0)
    mixed = mixed.transpose(1, 2).flatten(2)
    return mixed[:, count:], mixed[:, :count]


PASSES = {"step": lambda networks, settings: Step(networks["transformer"])}

"""A QwenImageTransformer2DModel's pass in real numbers, with the formulas of
`transformer_qwenimage.py`.

diffusers' own forward rotates complex numbers and splits a batch by its values, neither of which
can be exported. A rotary table comes with the inputs, and what has no noise (`zero_cond_t`) is
modulated by a second time of each edit. As in `retouch.networks.flux2`, rotations and the scale of
the attention are float32."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import QwenImageTransformer2DModel
from torch import Tensor, nn


class Step(nn.Module):
    """The velocity [B, N, C] in float32 of the target's `tokens` [B, N, C] beside `references` [B,
    R, C].

    Inputs as `step` takes them, but `timestep` [B] is 1000 σ, rounded to the network's type before
    it is divided, as the pipelines do."""

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
    words = model.txt_in(model.txt_norm(text))
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
    tables = _tables(torch.cat([text_rope, rope], 1))
    *blocks, last = model.transformer_blocks
    for block in blocks:
        hidden, said, text_mod = _attended(block, hidden, words, embedded, still, tables)
        words = _words(block, words, said, text_mod)
    hidden, _, _ = _attended(
        last, hidden, words, embedded, still, tables
    )  # nothing follows that would need its words
    return model.proj_out(model.norm_out(hidden[:, : tokens.shape[1]], embedded[:, 0]))


def _attended(
    block,
    hidden: Tensor,
    words: Tensor,
    embedded: Tensor,
    still: Tensor | None,
    tables: tuple[Tensor, Tensor],
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """The image's hidden states after a block, and what its words take on by: what attention gives
    them, and how they are modulated."""
    image = block.img_mod(embedded).chunk(6, -1)
    text = block.txt_mod(embedded[:, :1]).chunk(6, -1)
    if still is not None:
        image = [torch.where(still, each[:, 1:], each[:, :1]) for each in image]
    mixed, said = _attend(
        block.attn,
        _modulated(block.img_norm1(hidden), *image[:2]),
        _modulated(block.txt_norm1(words), *text[:2]),
        tables,
    )
    hidden = hidden + image[2] * block.attn.to_out[0](mixed)
    return (
        hidden + image[5] * block.img_mlp(_modulated(block.img_norm2(hidden), *image[3:5])),
        said,
        text,
    )


def _words(block, words: Tensor, said: Tensor, text: tuple[Tensor, ...]) -> Tensor:
    words = words + text[2] * block.attn.to_add_out(said)
    return words + text[5] * block.txt_mlp(_modulated(block.txt_norm2(words), *text[3:5]))


def _modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return x * (1 + scale) + shift


def _attend(
    attn, image: Tensor, words: Tensor, tables: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor]:
    """What image and words, in one softmax, give the image, and what they give the words, before
    they are projected."""
    size = attn.inner_dim // attn.heads
    count = words.shape[1]

    def heads(said: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        return said.unflatten(-1, (-1, size)), seen.unflatten(-1, (-1, size))

    def normal(pair: tuple[Tensor, Tensor], *norms) -> Tensor:
        return torch.cat([norm(each) for norm, each in zip(norms, pair)], 1)

    q = normal(heads(attn.add_q_proj(words), attn.to_q(image)), attn.norm_added_q, attn.norm_q)
    k = normal(heads(attn.add_k_proj(words), attn.to_k(image)), attn.norm_added_k, attn.norm_k)
    v = torch.cat(heads(attn.add_v_proj(words), attn.to_v(image)), 1)
    q = _rotated(q, tables, size**-0.5)
    k = _rotated(k, tables)
    mixed = F.scaled_dot_product_attention(*(each.transpose(1, 2) for each in (q, k, v)), scale=1.0)
    mixed = mixed.transpose(1, 2).flatten(2)
    return mixed[:, count:], mixed[:, :count]


def _tables(rope: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines [B, N, 1, head size] for neighbouring numbers; the first of a pair loses
    what the second gives it, so its sine is negative."""
    cos, sin = rope.repeat_interleave(2, -1).unsqueeze(3).unbind(2)
    return cos, sin * (2.0 * (torch.arange(sin.shape[-1], device=sin.device) % 2) - 1)


def _rotated(x: Tensor, tables: tuple[Tensor, Tensor], scale: float = 1.0) -> Tensor:
    """Neighbouring numbers of x [B, N, heads, head size] turned together and scaled in float32, as
    its own type again."""
    (cos, sin) = tables
    wide = x.float()
    swapped = wide.index_select(-1, torch.arange(x.shape[-1], device=x.device) ^ 1)
    turned = wide * cos + swapped * sin
    return (turned if scale == 1 else turned * scale).type_as(x)

"""Rotations of queries and keys in pairs of neighbouring numbers, in float32."""

from __future__ import annotations

import torch
from torch import Tensor


def pair_tables(rope: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and sines [B, N, 1, head size] for pairs of neighbouring numbers, of `rope` [B, N, 2,
    half the head size]. The first sine of a pair is negative."""
    cos, sin = rope.repeat_interleave(2, -1).unsqueeze(3).unbind(2)
    return cos, sin * (2.0 * (torch.arange(sin.shape[-1], device=sin.device) % 2) - 1)


def rotated(x: Tensor, tables: tuple[Tensor, Tensor], scale: float = 1.0) -> Tensor:
    """x [B, N, heads, head size] rotated in pairs of neighbouring numbers and scaled, in float32;
    returned in its own type."""
    (cos, sin) = tables
    wide = x.float()
    swapped = wide.index_select(-1, torch.arange(x.shape[-1], device=x.device) ^ 1)
    turned = wide * cos + swapped * sin
    return (turned if scale == 1 else turned * scale).type_as(x)

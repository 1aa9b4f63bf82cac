"""The channels of a target token beside its noise: the source's token in the same place, the
features of the operations' boxes, and the prompt embeds.

A network that sees them in its first layer need not learn first where to look for them."""

import numpy as np

from retouch.diffusion.box_features import CHANNELS, box_features


def beside(
    channels: int,
    source: np.ndarray,
    boxes: np.ndarray,
    ids: np.ndarray,
    grid: tuple[int, int],
    prompt_embeds: np.ndarray,
) -> np.ndarray:
    """The first `channels` of all, float32 [B, N, channels].

    `source` [B, N, C] are the source's tokens at `ids` [B, N, 4] of a `grid` (rows, columns),
    `boxes` [B, S, 2, 4] those of the operations, `prompt_embeds` [B, Q, J] the same for every
    token."""
    flat = prompt_embeds.reshape(len(source), 1, -1)
    embeds = np.broadcast_to(flat, (*source.shape[:2], flat.shape[-1]))
    parts = [source, box_features(boxes, ids, grid), embeds]
    return np.concatenate(parts, -1, dtype=np.float32)[..., :channels]


def channel_counts(token: int, slots: int, embeds: int) -> tuple[int, int, int]:
    """The numbers of channels that a network may take: none, source and boxes, or also the `embeds`
    = Q · J numbers of the prompt embeds. `token` is C."""
    boxed = token + slots * 2 * CHANNELS
    return 0, boxed, boxed + embeds

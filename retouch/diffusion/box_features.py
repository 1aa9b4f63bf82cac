"""Where the operations' boxes lie, seen from every target token: channels that go beside its noise.

Rotary positions tell a token where another one stands through attention alone; an outline that must
be exact to the pixel needs the distance itself."""

import numpy as np

WAVES = np.array((0.5, 1.0, 2.0), np.float32)  # half turns a cell
CHANNELS = 4 * (1 + 2 * len(WAVES))  # of one box


def layout(boxes: np.ndarray, ids: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Distances from the centres of tokens at `ids` [B, N, 4] to the edges of `boxes` [B, S, 2, 4],
    in cells.

    Boxes are x0, y0, x1, y1 in shares of a `grid` (rows, columns); where there is none, all its
    channels are zero. A distance is given as its tanh, and as sines and cosines, which tell pixels
    apart. Returns float32 [B, N, S × 2 × CHANNELS]."""
    rows, columns = grid
    batch, slots = boxes.shape[:2]
    edges = boxes.reshape(batch, 1, slots * 2, 4) * np.array(
        (columns, rows) * 2, np.float32
    ) - np.float32(0.5)
    away = (edges - ids[:, :, None, [2, 1, 2, 1]])[..., None]
    seen = np.concatenate(
        [np.tanh(away), np.sin(np.pi * away * WAVES), np.cos(np.pi * away * WAVES)], -1
    )
    seen *= existing(boxes).reshape(batch, 1, slots * 2, 1, 1)
    return seen.reshape(*ids.shape[:2], slots * 2 * CHANNELS).astype(np.float32)


def existing(boxes: np.ndarray) -> np.ndarray:
    """Which of `boxes` [..., 4] there are, bool [...]: an operation without a target or a value has
    zeros."""
    return (boxes[..., 2:] - boxes[..., :2]).sum(-1) > 1e-3

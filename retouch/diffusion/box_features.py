"""Features of the operations' boxes for every target token: channels beside its noise.

Rotary positions act through attention alone. An outline that is exact to the pixel needs the
distance itself."""

import numpy as np

WAVES = np.array((0.5, 1.0, 2.0), np.float32)  # half turns a cell
CHANNELS = 4 * (1 + 2 * len(WAVES))  # of one box


def box_features(boxes: np.ndarray, ids: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Distances in cells from the centres of tokens at `ids` [B, N, 4] to the edges of `boxes` [B,
    S, 2, 4], as float32 [B, N, S × 2 × CHANNELS].

    Boxes are x0, y0, x1, y1 in shares of a `grid` (rows, columns). A missing box has zeros for
    channels. The channels of a distance are its tanh, and sines and cosines that tell pixels
    apart."""
    rows, columns = grid
    batch, slots = boxes.shape[:2]
    edges = boxes.reshape(batch, 1, slots * 2, 4) * np.array(
        (columns, rows) * 2, np.float32
    ) - np.float32(0.5)
    distance = (edges - ids[:, :, None, [2, 1, 2, 1]])[..., None]
    features = np.concatenate(
        [np.tanh(distance), np.sin(np.pi * distance * WAVES), np.cos(np.pi * distance * WAVES)], -1
    )
    features *= existing(boxes).reshape(batch, 1, slots * 2, 1, 1)
    return features.reshape(*ids.shape[:2], slots * 2 * CHANNELS).astype(np.float32)


def existing(boxes: np.ndarray) -> np.ndarray:
    """Which of `boxes` [..., 4] exist, bool [...]. An operation without a target or a value has
    zeros."""
    return (boxes[..., 2:] - boxes[..., :2]).sum(-1) > 1e-3

"""Latents as tokens: packing, position ids, and a seed's noise. A token covers a cell of the
image."""

import numpy as np

from retouch.diffusion.box_features import existing

TARGET_TIME = 0
REFERENCE_TIME = 10  # first position id, as that of Flux2KleinKVPipeline's first reference


def pack(latents: np.ndarray, patch: int) -> np.ndarray:
    """[B, C, h, w] → tokens [B, h/patch × w/patch, C × patch²], in `FluxPipeline._pack_latents`'
    order of channels."""
    batch, channels, height, width = latents.shape
    blocks = latents.reshape(
        batch, channels, height // patch, patch, width // patch, patch
    ).transpose(0, 2, 4, 1, 3, 5)
    return blocks.reshape(batch, height // patch * (width // patch), channels * patch * patch)


def unpack(tokens: np.ndarray, grid: tuple[int, int], patch: int) -> np.ndarray:
    """Tokens [B, rows × columns, C × patch²] → latents [B, C, rows × patch, columns × patch]."""
    (batch, _, width) = tokens.shape
    (rows, columns) = grid
    channels = width // patch**2
    blocks = tokens.reshape(batch, rows, columns, channels, patch, patch).transpose(
        0, 3, 1, 4, 2, 5
    )
    return blocks.reshape(batch, channels, rows * patch, columns * patch)


def grid_ids(grid: tuple[int, int], time: int) -> np.ndarray:
    """Position ids (t, h, w, l) of a grid's tokens, row by row, float32 [rows × columns, 4]."""
    rows, columns = grid
    ids = np.zeros((rows, columns, 4), np.float32)
    ids[..., 0] = time
    ids[..., 1] = np.arange(rows)[:, None]
    ids[..., 2] = np.arange(columns)
    return ids.reshape(-1, 4)


def target_ids(grid: tuple[int, int]) -> np.ndarray:
    return grid_ids(grid, TARGET_TIME)


def reference_ids(grid: tuple[int, int]) -> np.ndarray:
    return grid_ids(grid, REFERENCE_TIME)


def cell_centres(grid: tuple[int, int]) -> np.ndarray:
    """Centres of the cells, row by row, float32 [rows × columns, 2]: x and y as shares."""
    rows, columns = grid
    y, x = np.divmod(np.arange(rows * columns), columns)
    return np.stack([(x + 0.5) / columns, (y + 0.5) / rows], -1).astype(np.float32)


def conditioning_ids(boxes: np.ndarray, grid: tuple[int, int], per_slot: int) -> np.ndarray:
    """Position ids of the conditioning, float32 [B, S × per_slot, 4]: an operation's tokens are at
    the place that changes.

    `boxes` [B, S, 2, 4] are the parser's target and value boxes in shares, zeros for missing ones.
    The first half of a slot's tokens is at the centre of the target box, the second at that of the
    value box, in cells. A missing box is replaced by the slot's other one. l counts the tokens."""
    batch, slots = boxes.shape[:2]
    exists = existing(boxes)[..., None]
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2 * np.array(grid[::-1], np.float32) - 0.5
    centre = np.where(exists, centre, np.where(exists[:, :, ::-1], centre[:, :, ::-1], 0))
    ids = np.zeros((batch, slots, per_slot, 4), np.float32)
    ids[..., 1:3] = centre.repeat(per_slot // 2, 2)[..., ::-1]
    ids[..., 3] = np.arange(slots * per_slot).reshape(slots, per_slot)
    return ids.reshape(batch, -1, 4)


def noise(seed: int, cells: int, width: int) -> np.ndarray:
    """Standard normal tokens float32 [cells, width], the same on every machine.

    Noise is drawn for the whole image, and a region takes its rows. So a seed has the same noise
    for any region."""
    return np.random.Generator(np.random.Philox(seed)).standard_normal((cells, width), np.float32)

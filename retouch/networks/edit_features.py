"""Statistics of a picture and its edit: colours, edges, seams and deep features, over the region,
the rest of the picture, or a box."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

TINY = 1e-6
GRID = 4  # cells of the coarse maps, each side
CELL = 16  # pixels of a cell of the region


def opponent(pixels: Tensor) -> Tensor:
    """RGB from 0 to 255 [B, 3, H, W] → luma, and blue and red less luma, from about -1 to 1."""
    red, green, blue = (pixels / 255).unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return torch.stack([luma, blue - luma, red - luma], 1)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean of [B, C, H, W] over a mask [B, 1, H, W]: [B, C], 0 where the mask is empty."""
    return (values * mask).sum((2, 3)) / (mask.sum((2, 3)) + TINY)


def at_size(mask: Tensor, like: Tensor) -> Tensor:
    """A mask of cells [B, 1, h, w] at the size of `like` [B, C, H, W], a multiple or a part."""
    return F.interpolate(mask, size=like.shape[2:], mode="nearest")


def box_masks(boxes: Tensor, like: Tensor) -> Tensor:
    """Masks [B, N, H, W] of boxes [B, N, 4] (x0, y0, x1, y1 in shares) at the size of `like`. A
    pixel counts by how much of it the box covers."""
    height, width = like.shape[2:]
    columns = _overlap(boxes[..., 0], boxes[..., 2], width)
    rows = _overlap(boxes[..., 1], boxes[..., 3], height)
    return rows[..., :, None] * columns[..., None, :]


def _overlap(low: Tensor, high: Tensor, count: int) -> Tensor:
    """The share of each of `count` pixels between `low` and `high` [B, N]: [B, N, count]."""
    edges = torch.arange(count, device=low.device, dtype=low.dtype)
    start = torch.maximum(low[..., None] * count, edges)
    end = torch.minimum(high[..., None] * count, edges + 1)
    return (end - start).clamp_min(0)


def colour_statistics(source: Tensor, answer: Tensor, mask: Tensor) -> Tensor:
    """Of opponent colours [B, 3, H, W] over a mask: means, spreads and mean change, [B, 18]."""
    values = []
    for picture in (source, answer):
        mean = masked_mean(picture, mask)
        spread = masked_mean((picture - mean[..., None, None]).square(), mask)
        values += [mean, (spread + TINY).sqrt()]
    change = answer - source
    values += [masked_mean(change.abs(), mask), masked_mean(change, mask)]
    return torch.cat(values, 1)


def coarse_maps(source: Tensor, answer: Tensor) -> Tensor:
    """Opponent colours of both and the change, in GRID × GRID cells: [B, 9 · GRID²]."""
    planes = torch.cat([source, answer, (answer - source).abs()], 1)
    return _pooled(planes).flatten(1)


def _pooled(planes: Tensor) -> Tensor:
    """The means of GRID × GRID equal parts of [B, C, H, W], whose sides GRID divides."""
    batch, channels, height, width = planes.shape
    parts = planes.reshape(batch, channels, GRID, height // GRID, GRID, width // GRID)
    return parts.mean((3, 5))


def edge_statistics(source: Tensor, answer: Tensor, mask: Tensor) -> Tensor:
    """Of lumas [B, 1, H, W] over a mask: logarithms of the energy of gradients and of what is finer
    than them, of both pictures and of the change: [B, 6]."""
    values = []
    for plane in (source, answer, answer - source):
        across = plane - plane.roll(1, 3)
        down = plane - plane.roll(1, 2)
        fine = plane - F.avg_pool2d(plane, 3, 1, 1)
        energies = masked_mean(across.abs() + down.abs(), mask), masked_mean(fine.abs(), mask)
        values += [(energy + 1e-4).log() for energy in energies]
    return torch.cat(values, 1)


def seam_statistics(source: Tensor, answer: Tensor, mask: Tensor) -> Tensor:
    """Of lumas: how much the change jumps at the mask's border, and between cells, beside how much
    it does elsewhere: [B, 4]."""
    change = answer - source
    values = []
    for axis in (2, 3):
        jump = (change - change.roll(1, axis)).abs()
        border = (mask - mask.roll(1, axis)).abs()
        place = torch.arange(change.shape[axis], device=change.device) % CELL == 0
        lines = place.to(change.dtype).reshape((-1, 1) if axis == 2 else (1, -1))
        lines = lines.expand_as(change)
        values += [masked_mean(jump, border) - masked_mean(jump, 1 - border)]
        values += [masked_mean(jump, lines) - masked_mean(jump, 1 - lines)]
    return torch.cat(values, 1)


def clipped_shares(source: Tensor, answer: Tensor, mask: Tensor) -> Tensor:
    """The shares of pixels [B, 3, H, W], 0 to 255, that are black or white in a channel, of both
    pictures over a mask: [B, 4]."""
    shares = []
    for pixels in (source, answer):
        dark = (pixels.amin(1, keepdim=True) <= 1).to(pixels.dtype)
        bright = (pixels.amax(1, keepdim=True) >= 254).to(pixels.dtype)
        shares += [masked_mean(dark, mask), masked_mean(bright, mask)]
    return torch.cat(shares, 1)


def unit(features: Tensor) -> Tensor:
    """Features [B, C, H, W] of length 1 at every position, as LPIPS compares them."""
    return features / (features.square().sum(1, keepdim=True) + TINY).sqrt()

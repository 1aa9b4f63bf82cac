"""The map from tokens to a preview's pixels, fitted to a checkpoint's own autoencoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from retouch.preview import FILE, SIDE
from retouch.types import CELL

COUNT, PIXELS = 16, 256  # pictures, and the side of each
RIDGE = 1e-6  # of a token's mean square: keeps the map small along channels that hardly move


def write(folder: Path, encode: Callable[[Tensor], Tensor]) -> None:
    """Fit the map and write it to `folder`; `encode` makes tokens [B, N, D] of pixels [B, 3, H, W] in −1..1."""
    with torch.no_grad():
        pairs = [(encode(picture[None])[0].numpy(), picture) for picture in pictures()]
    weight, bias = fit(np.concatenate([tokens for tokens, _ in pairs]),
                       np.concatenate([_blocks(picture) for _, picture in pairs]))
    np.savez(folder / FILE, weight=weight, bias=bias)


def fit(tokens: np.ndarray, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The linear map [D, 48] and bias [48] with the least squared error from tokens [N, D] to pixels [N, 48]."""
    mean, level = tokens.mean(0, dtype=np.float64), pixels.mean(0, dtype=np.float64)
    x, y = tokens - mean, pixels - level
    square = x.T @ x
    weight = np.linalg.solve(square + RIDGE * np.trace(square) / len(square) * np.eye(len(square)), x.T @ y)
    return weight.astype(np.float32), (level - mean @ weight).astype(np.float32)


def pictures(count: int = COUNT, side: int = PIXELS, seed: int = 0) -> Tensor:
    """Smooth random colours [count, 3, side, side] in −1..1: waves of a few cells to the whole picture, enlarged from
    noise."""
    generator, total = torch.Generator().manual_seed(seed), torch.zeros(count, 3, side, side)
    for grain in (4, 8, 16, 32):
        noise = torch.randn(count, 3, grain, grain, generator=generator)
        total += F.interpolate(noise, (side, side), mode="bicubic", align_corners=False)
    return total.mul(0.5).tanh()


def _blocks(picture: Tensor) -> np.ndarray:
    """The mean colours of a picture [3, H, W] as `retouch.preview.PreviewMap` lays them out, [N, 48]."""
    small = F.avg_pool2d(picture[None], CELL // SIDE)[0]
    blocks = small.unfold(1, SIDE, SIDE).unfold(2, SIDE, SIDE)  # colour, row, column, then row and column inside
    return blocks.permute(1, 2, 3, 4, 0).reshape(-1, SIDE * SIDE * 3).numpy()

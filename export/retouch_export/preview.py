"""The linear map from a clean token to the 4×4 preview pixels of its cell, fitted by least squares.

For published checkpoints it is fitted on smooth random images and their tokens, which the
checkpoint's own autoencoder computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from retouch.api.geometry import CELL
from retouch.diffusion.preview import FILE, SIDE

IMAGES = 48
PIXELS = 128  # side of an image
COARSEST = 2  # smallest number of colours along a side
FINEST = 16  # largest number
RIDGE = 1e-2  # regularises directions that occur in no image


def fit(tokens: np.ndarray, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`weight` float32 [D, 48] and `bias` [48] of the map from tokens [N, D] to the pixels [N, 48]
    of the same cells."""
    design = np.concatenate([tokens, np.ones((len(tokens), 1), np.float32)], 1).astype(np.float64)
    solution = np.linalg.solve(
        design.T @ design + RIDGE * np.eye(design.shape[1]), design.T @ pixels
    )
    return solution[:-1].astype(np.float32), solution[-1].astype(np.float32)


def small(pixels: np.ndarray) -> np.ndarray:
    """The 4×4 mean colours (row, column, colour) of every cell of uint8 [H, W, 3]: float64 [N, 48]
    in −1..1."""
    (height, width, _) = pixels.shape
    block = CELL // SIDE
    blocks = pixels.reshape(height // CELL, SIDE, block, width // CELL, SIDE, block, 3)
    area = blocks.astype(np.float64).mean((2, 5)) / 127.5 - 1
    return area.transpose(0, 2, 1, 3, 4).reshape(-1, SIDE * SIDE * 3)


def smooth_images(count: int = IMAGES, seed: int = 0) -> Iterator[np.ndarray]:
    """Images uint8 [PIXELS, PIXELS, 3] of random colours with smooth transitions."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        side = rng.integers(COARSEST, FINEST + 1)
        colours = Image.fromarray(rng.integers(0, 256, (side, side, 3), np.uint8))
        yield np.asarray(colours.resize((PIXELS, PIXELS), Image.Resampling.BICUBIC))


def write(folder: Path, tokens_of: Callable[[np.ndarray], np.ndarray]) -> None:
    """Write `preview.npz` to `folder`. `tokens_of` computes the clean tokens [N, D] of pixels
    float32 [3, H, W] in −1..1."""
    images = list(smooth_images())
    scaled = [
        image.transpose(2, 0, 1).astype(np.float32) / np.float32(127.5) - 1 for image in images
    ]
    weight, bias = fit(
        np.concatenate([tokens_of(image) for image in scaled]),
        np.concatenate([small(image) for image in images]),
    )
    np.savez(folder / FILE, weight=weight, bias=bias)


def write_encoded(
    folder: Path, encoder: Callable[[Tensor], Tensor], tokens_of: Callable[[np.ndarray], np.ndarray]
) -> None:
    """The same for pixels that `encoder` turns into latents [1, C, h, w]. `tokens_of` makes tokens
    [N, D] of latents [C, h, w]."""

    @torch.no_grad()
    def tokens(pixels: np.ndarray) -> np.ndarray:
        return tokens_of(encoder(torch.from_numpy(pixels[None]))[0].numpy())

    write(folder, tokens)

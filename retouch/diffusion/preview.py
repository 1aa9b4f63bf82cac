"""Previews: a fitted linear map from a token to 4×4 pixels of its cell."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retouch.artifacts.manifest import verify

FILE = "preview.npz"
SIDE = 4  # pixels of a preview along one side of a cell


@dataclass(frozen=True)
class PreviewMap:
    """`weight` [width, 48] and `bias` [48]: a token to its 4×4 RGB pixels (row, column, colour) in
    −1..1."""

    weight: np.ndarray
    bias: np.ndarray

    @classmethod
    def load(cls, folder: Path) -> PreviewMap:
        """ArtifactError when the file does not match the folder's manifest."""
        verify(folder, FILE)
        with np.load(Path(folder) / FILE) as stored:
            return cls(stored["weight"], stored["bias"])

    def image(self, tokens: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
        """Clean tokens [N, width] of a grid of N cells → uint8 [4 · rows, 4 · columns, 3]."""
        rows, columns = grid
        blocks = (tokens @ self.weight + self.bias).reshape(rows, columns, SIDE, SIDE, 3)
        pixels = blocks.transpose(0, 2, 1, 3, 4).reshape(rows * SIDE, columns * SIDE, 3)
        return to_uint8(pixels)


def to_uint8(pixels: np.ndarray) -> np.ndarray:
    """Pixels in −1..1 → uint8 0..255, rounded."""
    return np.clip(np.rint((pixels + 1) * 127.5), 0, 255).astype(np.uint8)

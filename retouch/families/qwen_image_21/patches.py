"""Pixels as Qwen3-VL takes them: patches in merge order, with learned positions that are
interpolated from a square grid. numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from retouch.families.qwen_vl.patches import PatchLayout


@dataclass(frozen=True)
class Qwen3PatchLayout(PatchLayout):
    """`side` is that of the grid of learned positions."""

    mean: ClassVar[tuple[float, ...]] = (0.5, 0.5, 0.5)
    std: ClassVar[tuple[float, ...]] = (0.5, 0.5, 0.5)
    colours: ClassVar[str] = "0.5, as Qwen3-VL's"

    side: int = 48

    @classmethod
    def of(cls, vision: dict[str, Any], **limits: int) -> Qwen3PatchLayout:
        """The layout of a tower with transformers' config `vision`."""
        return cls(
            vision["patch_size"],
            vision["spatial_merge_size"],
            vision["temporal_patch_size"],
            vision["hidden_size"] // vision["num_heads"],
            side=int(vision["num_position_embeddings"] ** 0.5),
            **limits,
        )

    def inputs(self, pixels: np.ndarray) -> dict[str, np.ndarray]:
        """Those of the plain layout for images uint8 [B, H, W, 3] of whole cells, and for each of P
        patches the four learned positions around it: `place_index` int64 [B, P, 4] and
        `place_weight` float32 [B, P, 4]."""
        batch, height, width, _ = pixels.shape
        index, weight = self.places(height, width)
        places = {"place_index": index, "place_weight": weight}
        return super().inputs(pixels) | {
            name: np.ascontiguousarray(np.broadcast_to(array, (batch, *array.shape)))
            for name, array in places.items()
        }

    def places(self, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Indices [P, 4] into the grid of learned positions and their weights, bilinear with
        aligned corners, in merge order."""
        rows = self._taps(height // self.patch)
        columns = self._taps(width // self.patch)
        m = self.merge
        y, x = np.meshgrid(np.arange(len(rows[0])), np.arange(len(columns[0])), indexing="ij")
        y, x = (
            axis.reshape(len(y) // m, m, -1, m).transpose(0, 2, 1, 3).reshape(-1) for axis in (y, x)
        )
        index = rows[0][y][:, :, None] * self.side + columns[0][x][:, None]
        weight = rows[1][y][:, :, None] * columns[1][x][:, None]
        return index.reshape(-1, 4), weight.reshape(-1, 4)

    def _taps(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """For `count` patches in a row the two neighbouring places of the grid int64 [count, 2],
        and their weights float32."""
        last = np.float32(self.side - 1)
        places = np.arange(count, dtype=np.float32) * last / np.float32(max(count - 1, 1))
        lower = np.floor(places)
        index = np.minimum(lower.astype(np.int64)[:, None] + np.arange(2), self.side - 1)
        upper_weight = places - lower
        return index, np.stack([1 - upper_weight, upper_weight], 1)

"""Large arrays through a network tile by tile, as diffusers' autoencoders with `enable_tiling`.

A tile overlaps its neighbours, and the overlaps are blended. The memory of a run is that of one
tile, so the size of an image is not limited by the network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Network = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Tiling:
    """Tiles of `side` × `side` numbers of the input, one every `stride` numbers."""

    side: int
    stride: int

    def run(self, network: Network, array: np.ndarray) -> np.ndarray:
        """The `network`'s output for `array` [B, C, H, W], of the same scale everywhere.

        A network maps [B, C, h, w] to [B, D, s · h, s · w] for a fixed s, such as 8 or 1/8. As in
        diffusers, a tile is blended with the tiles above it and to its left."""
        rows: list[list[np.ndarray]] = []
        bands: list[np.ndarray] = []
        for top in range(0, array.shape[2], self.stride):
            strip = array[:, :, top : top + self.side]
            # blending writes to what a network may keep
            rows.append([np.array(network(tile)) for tile in self._tiles(strip)])
            bands.append(self._band(rows, array.shape[3]))
            del rows[:-1]
        return np.concatenate(bands, 2)

    def _tiles(self, strip: np.ndarray) -> list[np.ndarray]:
        """The tiles of a strip [B, C, h, W], from left to right."""
        return [
            np.ascontiguousarray(strip[:, :, :, left : left + self.side])
            for left in range(0, strip.shape[3], self.stride)
        ]

    def _band(self, rows: list[list[np.ndarray]], width: int) -> np.ndarray:
        """The last row of `rows` blended with the row before it, and cut to its part of the output.
        `width` is the input's."""
        row = rows[-1]
        above = rows[-2] if len(rows) > 1 else None
        scale = row[0].shape[3] / min(self.side, width)
        stride = round(self.stride * scale)
        extent = round(self.side * scale) - stride
        for column, tile in enumerate(row):
            if above is not None:
                _blend(above[column], tile, extent, 2)
            if column:
                _blend(row[column - 1], tile, extent, 3)
        return np.concatenate([tile[:, :, :stride, :stride] for tile in row], 3)


def _blend(before: np.ndarray, tile: np.ndarray, extent: int, axis: int) -> None:
    """Fade from the end of `before` to the start of `tile`, which is changed."""
    extent = min(before.shape[axis], tile.shape[axis], extent)
    shape = [1, 1, 1, 1]
    shape[axis] = extent
    weight = (np.arange(extent, dtype=np.float32) / np.float32(max(extent, 1))).reshape(shape)
    start = _part(tile, axis, 0, extent)
    end = _part(before, axis, before.shape[axis] - extent, before.shape[axis])
    start[...] = end * (1 - weight) + start * weight


def _part(array: np.ndarray, axis: int, first: int, last: int) -> np.ndarray:
    """A view of `array` from `first` to `last` along `axis`."""
    return array[(slice(None),) * axis + (slice(first, last),)]

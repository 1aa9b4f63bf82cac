"""A map of colours to colours, fitted to pairs of pixels: a lattice over RGB with trilinear
interpolation.

The fit is a multilevel one (Lee, Wolberg and Shin 1997) of local averages: an affine map by least
squares, and on lattices from coarse to fine what the levels before leave. Colours without samples
have the value of a coarser level. Colours are float32 from 0 to 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

LEVELS = (3, 5, 9, 17)  # nodes of a side; each level halves the cells of the one before
PULL = 0.5  # samples' weight by which a node keeps to the coarser levels
RIDGE = 1e-3  # of the affine map, towards the identity
IDENTITY = np.eye(4, 3, dtype=np.float32)


@dataclass(frozen=True)
class ColourMap:
    """`table` float32 [n, n, n, 3] is the colour of every node, by red, green and blue."""

    table: np.ndarray

    def of(self, pixels: np.ndarray) -> np.ndarray:
        """The mapped pixels, uint8 [h, w, 3] both."""
        return np.asarray(Image.fromarray(pixels).filter(self._filter()))

    def _filter(self) -> ImageFilter.Color3DLUT:
        side = len(self.table)
        by_blue = np.ascontiguousarray(self.table.transpose(2, 1, 0, 3).reshape(-1))
        return ImageFilter.Color3DLUT(side, by_blue)  # type: ignore[arg-type]  # takes arrays, too


class ColourSamples:
    """Colours [N, 3] at which maps are fitted; what depends on them alone is computed once."""

    def __init__(self, colours: np.ndarray):
        self.colours = colours
        self._affine = np.concatenate([colours, np.ones((len(colours), 1), np.float32)], 1)
        self._levels = [_Level(colours, side) for side in LEVELS]

    def fit(self, targets: np.ndarray, weights: np.ndarray) -> tuple[ColourMap, np.ndarray]:
        """The map of the colours to `targets` [N, 3] with `weights` [N], and its values [N, 3] at
        the colours."""
        affine = self._fit_affine(targets, weights)
        values = self._affine @ affine
        table = _nodes(LEVELS[0]) @ affine[:3] + affine[3]
        for level in self._levels:
            while len(table) < level.side:
                table = _refined(table)
            correction = level.fit(targets - values, weights)
            values += level.at_samples(correction)
            table = table + correction.reshape(table.shape)
        return ColourMap(table.astype(np.float32)), values

    def _fit_affine(self, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """[4, 3], the last row the offset."""
        ridge = np.diag([1.0, 1.0, 1.0, RIDGE]) * RIDGE * (weights.sum() + 1)
        weighted = self._affine * weights[:, None]
        left = weighted.T.astype(np.float64) @ self._affine + ridge
        right = weighted.T.astype(np.float64) @ targets + ridge @ IDENTITY
        return np.linalg.solve(left, right).astype(np.float32)


class _Level:
    """The lattice of one level: nodes around every sample and their trilinear weights, [8, N]."""

    def __init__(self, colours: np.ndarray, side: int):
        place = colours.clip(0, 1) * (side - 1)
        cell = np.minimum(place.astype(np.int32), side - 2)
        part = place - cell
        corners = [(red, green, blue) for red in (0, 1) for green in (0, 1) for blue in (0, 1)]
        self.side = side
        self.nodes = np.stack([(cell + corner) @ (side * side, side, 1) for corner in corners])
        self.shares = np.stack(
            [np.where(corner, part, 1 - part).prod(1, dtype=np.float32) for corner in corners]
        )

    def fit(self, residual: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """The averages [nodes, 3] of `residual` [N, 3] around the nodes."""
        shares = (self.shares**2 * weights).ravel()
        nodes = self.nodes.ravel()
        count = self.side**3
        total = np.bincount(nodes, shares, count) + PULL
        sums = [
            np.bincount(nodes, (shares.reshape(8, -1) * channel).ravel(), count)
            for channel in residual.T
        ]
        return (np.stack(sums, 1) / total[:, None]).astype(np.float32)

    def at_samples(self, correction: np.ndarray) -> np.ndarray:
        """Values [N, 3] at the samples of a correction [nodes, 3]."""
        values = np.zeros((self.nodes.shape[1], 3), np.float32)
        for nodes, shares in zip(self.nodes, self.shares):
            values += correction[nodes] * shares[:, None]
        return values


def _nodes(side: int) -> np.ndarray:
    """The colours of the nodes, [side, side, side, 3]."""
    axis = np.linspace(0, 1, side, dtype=np.float32)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)


def _refined(table: np.ndarray) -> np.ndarray:
    """The same map on a lattice of half the cells."""
    for axis in range(3):
        table = np.moveaxis(table, axis, 0)
        finer = np.repeat(table, 2, 0)[:-1]
        finer[1::2] = (table[:-1] + table[1:]) / 2
        table = np.moveaxis(finer, 0, axis)
    return table

"""Objects pasted on a photograph: drawn shapes, named cut-outs, and marks such as a scratch."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from training import marks, stamps
from training.kinds import WAVE
from training.operation import Item
from training.photo.colours import rehued
from training.render import KINDS, PALETTE, distance_to
from training.vocabulary import MARKS, NONE

VISIBLE = 0.02  # a pixel that a layer changes by less is not its own


@dataclass(frozen=True)
class Layer:
    """One pasted object. `x`, `y` are the centre and `radius` half the longer side, in pixels.

    `colour` is a shape's, or the hue that a cut-out was given. `seed` chooses a cut-out's file, and
    place and looks of a mark."""

    kind: str
    colour: str
    size: str
    x: float
    y: float
    radius: float
    seed: int


@dataclass(frozen=True)
class Picture:
    """A photograph with its layers: pixels uint8 [H, W, 3], the number of the layer that owns a
    pixel, uint8 [H, W] from 1, and the items in the layers' order."""

    pixels: np.ndarray
    owners: np.ndarray
    items: tuple[Item, ...]


def render(photo: np.ndarray, layers: Sequence[Layer]) -> Picture:
    """Paste layers on a photograph uint8 [H, W, 3], the last one on top."""
    pixels = photo.astype(np.float32) / 255
    owners = np.zeros(photo.shape[:2], np.uint8)
    items = []
    for number, layer in enumerate(layers, start=1):
        after = _paint(pixels, layer)
        own = np.abs(after - pixels).max(-1) > VISIBLE
        owners[own] = number
        items.append(Item(layer.kind, _box(own), _colour_word(layer), layer.size))
        pixels = after
    return Picture(np.rint(pixels * 255).astype(np.uint8), owners, tuple(items))


def _paint(pixels: np.ndarray, layer: Layer) -> np.ndarray:
    if layer.kind in KINDS:
        return _shape(pixels, layer)
    if layer.kind in MARKS:
        after, _ = marks.DRAW[layer.kind](random.Random(layer.seed), _to_bytes(pixels))
        return after.astype(np.float32) / 255
    files = _stamps()[layer.kind]
    rgba = stamps.fit(files[layer.seed % len(files)], round(2 * layer.radius))
    if layer.colour != NONE:
        rgba = _rehued(rgba, layer.colour)
    after = stamps.paste(_to_bytes(pixels), rgba, (layer.x, layer.y))
    return after.astype(np.float32) / 255


@cache
def _stamps() -> dict[str, list[stamps.Stamp]]:
    return stamps.load_stamps(WAVE)


def _shape(pixels: np.ndarray, layer: Layer) -> np.ndarray:
    height, width, _ = pixels.shape
    y = np.arange(height, dtype=np.float32)[:, None] + np.float32(0.5 - layer.y)
    x = np.arange(width, dtype=np.float32) + np.float32(0.5 - layer.x)
    distance = distance_to(layer.kind, *np.broadcast_arrays(x, y), layer.radius)
    cover = np.clip(0.5 - distance, 0, 1)[..., None]
    colour = np.array(PALETTE[layer.colour], np.float32) / 255
    return pixels + cover * (colour - pixels)


def _rehued(rgba: np.ndarray, colour: str) -> np.ndarray:
    new = rehued(rgba[..., :3].astype(np.float32) / 255, colour)
    return np.dstack([np.rint(new * 255).astype(np.uint8), rgba[..., 3]])


def _to_bytes(pixels: np.ndarray) -> np.ndarray:
    return np.rint(pixels * 255).astype(np.uint8)


def _colour_word(layer: Layer) -> str:
    """A cut-out has no colour word: nobody says "the brown bear" to mean its paint."""
    return layer.colour if layer.kind in KINDS else NONE


def _box(own: np.ndarray) -> tuple[float, float, float, float]:
    """The tight box of a mask bool [H, W], in shares; zeros for an empty one."""
    rows = np.flatnonzero(own.any(1))
    columns = np.flatnonzero(own.any(0))
    if not len(rows):
        return 0.0, 0.0, 0.0, 0.0
    height, width = own.shape
    return (
        columns[0] / width,
        rows[0] / height,
        (columns[-1] + 1) / width,
        (rows[-1] + 1) / height,
    )

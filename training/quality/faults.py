"""Planned faults: answers that are spoiled in a known way and by a known amount."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from retouch.api.geometry import CELL
from retouch.imaging import images
from training.example import Example, changed
from training.photo.judge import colour_difference

LEAST_FAULT = 5.0  # CIEDE2000 to the exact result, where a fault is one of the edit itself
LEAST_PIXELS = 64

Array = np.ndarray


@dataclass(frozen=True)
class Parts:
    """What a fault spoils: 0 spoiled, 1 good, None where one cannot say."""

    consistency: float | None = 1.0
    instruction: float | None = 1.0
    plausibility: float | None = 1.0


@dataclass(frozen=True)
class Fault:
    """`spoil(rng, example, others)` is an answer uint8 [H, W, 3], or None where the edit cannot be
    spoiled so. `others` are edits of the same picture. `needs_change` asks for an answer that is
    far from the exact result where it changes."""

    spoil: Callable[[random.Random, Example, list[Example]], Array | None]
    parts: Parts
    needs_change: bool = False


def spoiled(rng: random.Random, name: str, example: Example, others: list[Example]) -> Array | None:
    """An answer with the fault of that name, or None."""
    fault = FAULTS[name]
    answer = fault.spoil(rng, example, others)
    if answer is None or not fault.needs_change:
        return answer
    inside = changed(example.source, example.target) | changed(example.source, answer)
    far = colour_difference(answer, example.target, inside)
    return answer if far >= LEAST_FAULT else None


def region_of(example: Example) -> Array:
    """The cells that the exact result changes, bool [H/16, W/16]."""
    return cells_of(changed(example.source, example.target))


def cells_of(pixels: Array) -> Array:
    """The cells [H/16, W/16] that hold any of the pixels bool [H, W]."""
    height, width = pixels.shape
    cells = images.cells_of_mask(pixels, (height, width))
    return cells.reshape(height // CELL, width // CELL)


def _nothing(rng: random.Random, example: Example, others: list[Example]) -> Array:
    return example.source.copy()


def _half_done(rng: random.Random, example: Example, others: list[Example]) -> Array:
    """A part of the change everywhere, or all of it in a half of the region."""
    source, target = _float(example.source), _float(example.target)
    if rng.random() < 0.5:
        return _picture(source + rng.uniform(0, 0.5) * (target - source))
    inside = changed(example.source, example.target)
    rows, columns = np.nonzero(inside)
    axis, places = rng.choice(((0, rows), (1, columns)))
    middle = np.median(places)
    line = np.arange(inside.shape[axis]) < middle
    keep = line if rng.random() < 0.5 else ~line
    keep = keep[:, None, None] if axis == 0 else keep[None, :, None]
    return np.where(keep, example.source, example.target)


def _other_edit(rng: random.Random, example: Example, others: list[Example]) -> Array | None:
    """What another sentence asks for."""
    rows = [row for row in others if row.operations != example.operations]
    return rng.choice(rows).target.copy() if rows else None


def _wrong_object(rng: random.Random, example: Example, others: list[Example]) -> Array | None:
    """The same operation on another object."""
    op, target = example.operations[0].op, example.operations[0].target
    rows = [row for row in others if row.operations[0].op == op]
    rows = [row for row in rows if target and row.operations[0].target not in (None, target)]
    return rng.choice(rows).target.copy() if rows else None


def _wrong_region(rng: random.Random, example: Example, others: list[Example]) -> Array | None:
    """The same change of tone in another part, or the edit moved elsewhere."""
    inside = changed(example.source, example.target)
    if inside.mean() > 0.7:
        return None
    change = _float(example.target) - _float(example.source)
    height, width = inside.shape
    shift = rng.choice((0, height // 2)), rng.choice((0, width // 2))
    if shift == (0, 0):
        return None
    return _picture(_float(example.source) + np.roll(change, shift, (0, 1)))


def _wrong_colour(rng: random.Random, example: Example, others: list[Example]) -> Array | None:
    """The result's channels in another order, where it changes."""
    inside = changed(example.source, example.target)
    order = rng.choice(((1, 0, 2), (2, 1, 0), (0, 2, 1), (1, 2, 0), (2, 0, 1)))
    return np.where(inside[..., None], example.target[..., order], example.target)


def _drift(rng: random.Random, example: Example, others: list[Example]) -> Array | None:
    """Slow waves of colour outside the region."""
    outside = ~_pixels(region_of(example), example.source)
    if outside.sum() < LEAST_PIXELS:
        return None
    wave = _waves(rng, outside.shape) * rng.uniform(6, 40)
    return _picture(_float(example.target) + wave * outside[..., None])


def _cast(rng: random.Random, example: Example, others: list[Example]) -> Array:
    """Gains of the channels all over."""
    strength = rng.uniform(0.06, 0.3)
    gains = np.array([rng.choice((-1, 0, 1)) for _ in range(3)])
    if not gains.any() or abs(gains.sum()) == 3:  # a change of brightness is no cast
        gains = np.array([1, 0, -1])
    return _picture(_float(example.target) * (1 + strength * gains))


def _artefacts(rng: random.Random, example: Example, others: list[Example]) -> Array:
    """Cells of the region with what does not belong there."""
    answer = example.target.copy()
    places = np.argwhere(region_of(example))
    noise = np.random.default_rng(rng.getrandbits(32))
    count = max(1, round(rng.uniform(0.05, 0.5) * len(places)))
    for row, column in places[rng.sample(range(len(places)), count)]:
        top, left = row * CELL, column * CELL
        cell = answer[top : top + CELL, left : left + CELL]
        kind = rng.randrange(3)
        if kind == 0:
            cell[:] = noise.integers(0, 256, 3)
        elif kind == 1:
            cell[:] = noise.integers(0, 256, cell.shape)
        else:
            cell[:] = 255 - cell
    return answer


def _blur(rng: random.Random, example: Example, others: list[Example]) -> Array | None:
    if example.operations[0].op in ("blur", "pixelate"):
        return None
    soft = cv2.GaussianBlur(example.target, (0, 0), rng.uniform(1.2, 4))
    return _inside(example, soft)


def _noise(rng: random.Random, example: Example, others: list[Example]) -> Array:
    generator = np.random.default_rng(rng.getrandbits(32))
    noise = generator.standard_normal(example.target.shape) * rng.uniform(7, 35)
    return _inside(example, _picture(_float(example.target) + noise))


def _seams(rng: random.Random, example: Example, others: list[Example]) -> Array | None:
    """An offset that ends at the region's border, or one of each cell."""
    generator = np.random.default_rng(rng.getrandbits(32))
    region = region_of(example)
    strength = rng.uniform(8, 30)
    if region.all() or rng.random() < 0.5:
        offsets = generator.standard_normal((*region.shape, 1)) * strength
    else:
        offsets = np.full((*region.shape, 1), strength * rng.choice((-1, 1)))
    spread = offsets.repeat(CELL, 0).repeat(CELL, 1)
    return _inside(example, _picture(_float(example.target) + spread))


def _inside(example: Example, answer: Array) -> Array:
    """The answer in the region, the exact result outside."""
    return np.where(_pixels(region_of(example), answer)[..., None], answer, example.target)


def _pixels(region: Array, like: Array) -> Array:
    """The pixels bool [H, W] of a region's cells."""
    height, width, _ = like.shape
    return images.mask_of_cells(region, (height, width), height, width)


def _waves(rng: random.Random, shape: tuple[int, int]) -> Array:
    """Smooth random fields of three channels, about -1 to 1, float32 [H, W, 3]."""
    generator = np.random.default_rng(rng.getrandbits(32))
    coarse = generator.standard_normal((rng.randint(1, 3), rng.randint(1, 3), 3))
    coarse = coarse.astype(np.float32) / np.abs(coarse).max()
    return cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC).reshape(*shape, 3)


def _float(pixels: Array) -> Array:
    return pixels.astype(np.float32)


def _picture(values: Array) -> Array:
    return np.rint(values.clip(0, 255)).astype(np.uint8)


FAULTS = {
    "nothing": Fault(_nothing, Parts(instruction=0.0), needs_change=True),
    "half done": Fault(_half_done, Parts(instruction=0.0), needs_change=True),
    "other edit": Fault(_other_edit, Parts(consistency=None, instruction=0.0), needs_change=True),
    "wrong object": Fault(_wrong_object, Parts(consistency=None, instruction=0.0), True),
    "wrong region": Fault(_wrong_region, Parts(consistency=None, instruction=0.0), True),
    "wrong colour": Fault(_wrong_colour, Parts(instruction=0.0), needs_change=True),
    "drift outside": Fault(_drift, Parts(consistency=0.0)),
    "colour cast": Fault(_cast, Parts(consistency=0.0, instruction=None)),
    "artefacts": Fault(_artefacts, Parts(None, None, 0.0)),
    "blur": Fault(_blur, Parts(instruction=None, plausibility=0.0)),
    "noise": Fault(_noise, Parts(instruction=None, plausibility=0.0)),
    "seams": Fault(_seams, Parts(instruction=None, plausibility=0.0)),
}

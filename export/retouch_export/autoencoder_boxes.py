"""The shapes that plans of an autoencoder are built for, by the sizes of its family's images.

A profile of TensorRT is a box: the smallest and the largest height and width. One box for all would
be far larger than any image, so wide and high images have one each, and large batches take small
images alone. No convolution may have 2³¹ numbers (TensorRT's operator reference), which is 8.3
million pixels of 256 channels in a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from retouch.api.geometry import CELL
from retouch.api.limits import MAX_ASPECT
from retouch.backends.batches import LARGEST
from retouch.families.base import Size
from retouch.families.vae import STRIDE, TILE, WHOLE, rows_of_a_run

BATCHES = ((1, 1), (2, 2), (3, 4), (5, LARGEST))  # rows of a run


@dataclass(frozen=True)
class Box:
    """The smallest, usual and largest size in pixels, and the smallest and largest batch."""

    sizes: tuple[Size, Size, Size]
    batch: tuple[int, int]


def boxes(sizes: Sequence[Size], usual: Size) -> list[Box]:
    """The boxes for images of these `sizes`, one for a single image of the `usual` size first."""
    whole = [size for size in sizes if math.prod(size) <= WHOLE]
    all_boxes = [box for batch in BATCHES for box in _of_batch(whole, usual, batch)]
    return [*_merged(all_boxes), *_of_tiles([size for size in sizes if size not in whole])]


def _of_batch(sizes: Sequence[Size], usual: Size, batch: tuple[int, int]) -> Iterator[Box]:
    """A box for wide images and one for high ones, of which so many share a run."""
    for is_wide in (True, False):
        alike = [size for size in sizes if (size[0] <= size[1]) == is_wide]
        sharing = [size for size in alike if rows_of_a_run(math.prod(size)) >= batch[0]]
        if sharing:
            # `sizes` need not have the largest size of which so many share a run
            high = _between(_largest(batch[0], is_wide), _corner(max, sharing), _corner(max, alike))
            low = _corner(min, sharing)
            yield Box((low, _between(usual, low, high), high), batch)


def _corner(choose: Callable[[Sequence[int]], int], sizes: Sequence[Size]) -> Size:
    """The smallest or the largest height and width of these sizes."""
    heights, widths = zip(*sizes)
    return choose(heights), choose(widths)


def _largest(rows: int, is_wide: bool) -> Size:
    """The largest height and width of an image of which `rows` share a run. Whole cells make
    proportions a little wider than those of the photo."""
    area = WHOLE // rows
    short = math.isqrt(area)
    long = math.isqrt(round(area * MAX_ASPECT)) + math.ceil(MAX_ASPECT) * CELL
    return (short, long) if is_wide else (long, short)


def _between(size: Size, low: Size, high: Size) -> Size:
    height, width = (min(max(side, a), b) for side, a, b in zip(size, low, high))
    return height, width


def _merged(boxes: Sequence[Box]) -> list[Box]:
    """The boxes, with one for batches of several rows that have the same sizes."""
    merged: list[Box] = []
    for box in boxes:
        same = [other for other in merged if other.sizes == box.sizes and other.batch[0] > 1]
        if same:
            merged[merged.index(same[0])] = Box(box.sizes, (same[0].batch[0], box.batch[1]))
        else:
            merged.append(box)
    return merged


def _of_tiles(sizes: Sequence[Size]) -> list[Box]:
    """The box of tiles of large images, each run by itself."""
    sides = {side for size in sizes for side in size}
    tiles = [min(TILE, side - start) for side in sides for start in range(0, side, STRIDE)]
    if not tiles:
        return []
    least = min(tiles)
    return [Box(((least, least), (TILE, TILE), (TILE, TILE)), (1, 1))]

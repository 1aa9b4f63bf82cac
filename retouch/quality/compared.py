"""A source image and its answer as the evaluator sees them: small, with the cells that may
change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retouch.api.geometry import BUCKETS, CELL
from retouch.imaging import images


@dataclass(frozen=True)
class Compared:
    """`source` and `answer` are uint8 [H, W, 3] of one of BUCKETS, `cells` is bool [H/16, W/16]."""

    source: np.ndarray
    answer: np.ndarray
    cells: np.ndarray

    @classmethod
    def of(cls, source: np.ndarray, answer: np.ndarray, cells: np.ndarray) -> Compared:
        """Of pictures uint8 [H, W, 3] of one size and the cells bool [N] of the region. Outside of
        it the answer is the source."""
        height, width, _ = source.shape
        region = images.mask_of_cells(cells, (height, width), height, width)
        answer = np.where(region[..., None], answer, source)
        size = nearest_bucket(height, width)
        small = images.cells_of_mask(region, size)
        grid = size[0] // CELL, size[1] // CELL
        return cls(images.fit(source, size), images.fit(answer, size), small.reshape(grid))


def nearest_bucket(height: int, width: int) -> tuple[int, int]:
    """The height and width of BUCKETS with the most similar proportions."""
    return min(BUCKETS, key=lambda size: abs(np.log(size[0] / size[1]) - np.log(height / width)))

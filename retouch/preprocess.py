"""The first stage: a request becomes pixels at a bucket, a cell mask and a lane."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retouch import images
from retouch.types import CELL, EditInfo, EditRequest, choose_lane

# values of MASK: what the user said about each cell
KEEP, EDIT, ASK = 0, 1, 2


@dataclass
class Prepared:
    """`pixels` uint8 [H, W, 3] at a bucket, `mask` uint8 [N] of KEEP, EDIT or ASK (the parser), the image's key."""

    pixels: np.ndarray
    mask: np.ndarray
    key: str
    info: EditInfo


def preprocess(request: EditRequest, lanes: tuple[str, ...]) -> Prepared:
    """Decode and fit the image and the mask; RequestError."""
    lane = choose_lane(request.precision, lanes)
    source = images.decode(request.image)
    size = images.bucket(*source.shape[:2])
    pixels = images.fit(source, size)
    info = EditInfo("", request.seed, lane, guidance=request.guidance)
    return Prepared(pixels, _mask(request.region, source.shape[:2], size), images.key(pixels), info)


def region_of(mask: np.ndarray, parsed: np.ndarray) -> np.ndarray:
    """The cells to edit, bool [N]: the user's word on each, else the parser's."""
    return np.where(mask == ASK, parsed, mask == EDIT)


def _mask(region: bytes, shape: tuple[int, int], size: tuple[int, int]) -> np.ndarray:
    word = region.strip().lower()
    if word in (b"auto", b"full"):
        cells = size[0] // CELL * size[1] // CELL
        return np.full(cells, ASK if word == b"auto" else EDIT, np.uint8)
    return images.cells_of_mask(images.decode_mask(region, *shape), size).astype(np.uint8)

"""The first stage: a request becomes pixels at a bucket and a cell mask, for the lane that was chosen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retouch import images
from retouch.answer import EditInfo
from retouch.lanes import Choice
from retouch.source import Source
from retouch.types import EditRequest

# values of MASK: what the user said about each cell
KEEP, EDIT, ASK = 0, 1, 2


@dataclass
class Prepared:
    """`pixels` uint8 [H, W, 3] at a bucket, `mask` uint8 [N] of KEEP, EDIT or ASK (the parser), the image's key."""

    source: Source
    pixels: np.ndarray
    mask: np.ndarray
    key: str
    info: EditInfo


def preprocess(request: EditRequest, choice: Choice) -> Prepared:
    """Decode and fit the image and the mask; RequestError."""
    source = Source.of(request.image, request.region, request.format)
    pixels = images.fit(source.photo, source.bucket)
    info = EditInfo("", request.seed, choice.lane, choice.why, guidance=request.guidance)
    return Prepared(source, pixels, _mask(source), images.key(pixels), info)


def region_of(mask: np.ndarray, parsed: np.ndarray) -> np.ndarray:
    """The cells to edit, bool [N]: the user's word on each, else the parser's."""
    return np.where(mask == ASK, parsed, mask == EDIT)


def _mask(source: Source) -> np.ndarray:
    if isinstance(source.region, str):
        rows, columns = source.grid
        return np.full(rows * columns, ASK if source.region == "auto" else EDIT, np.uint8)
    return images.cells_of_mask(source.region, source.bucket).astype(np.uint8)

"""The last stage: an answer's pixels get the source's size and its untouched pixels, and are encoded."""

from __future__ import annotations

import base64

import numpy as np

from retouch import images
from retouch.types import CELL, EditAnswer, EditInfo, Region, parse_format


def postprocess(
    source: tuple[bytes, bytes, str],
    cells: np.ndarray,
    edited: np.ndarray,
    preview: np.ndarray,
    step: tuple[int, int],
    info: EditInfo,
) -> EditAnswer:
    """The answer to send.

    `source` is IMAGE, REGION and FORMAT of the request; `cells` bool [N] the edited region; `edited` uint8
    [H, W, 3] the decoded bucket, empty on a preview; `preview` uint8 [h, w, 3] the small picture of one; `step`
    done and in all; `info` what the stages before knew. Outside the region (the pixels of a mask, else its cells)
    the result holds the source's own pixels, bit for bit.
    """
    image, region, format = source
    wanted = parse_format(format)
    original = images.decode(image)
    size = images.bucket(*original.shape[:2])
    pixels, info.kind, info.steps = preview, "preview", step[1]
    if step[0] == step[1]:
        info.kind = "final"
        pixels = images.paste_back(original, edited, _mask(region, cells, size, original.shape[:2]))
    info.region = _extent(cells.reshape(size[0] // CELL, size[1] // CELL))
    encoded = images.encode(pixels, wanted.name, wanted.quality)
    return EditAnswer(base64.b64encode(encoded) if wanted.base64 else encoded, step, info)


def _mask(region: bytes, cells: np.ndarray, size: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    if region.strip().lower() in (b"auto", b"full"):
        return images.mask_of_cells(cells, size, *shape)
    return images.decode_mask(region, *shape)


def _extent(grid: np.ndarray) -> Region:
    if not grid.any():  # the parser found nothing to change
        return Region((0.0, 0.0, 0.0, 0.0), 0.0)
    rows, columns = np.nonzero(grid.any(axis=1))[0], np.nonzero(grid.any(axis=0))[0]
    height, width = grid.shape
    box = (columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height)
    return Region(tuple(round(float(side), 4) for side in box), round(float(grid.mean()), 4))

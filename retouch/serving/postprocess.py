"""The last stage: edited pixels at the source image's size, around its own untouched pixels,
encoded."""

from __future__ import annotations

import base64

import numpy as np

from retouch.api.response import Drift, EditAnswer, EditInfo, Region
from retouch.imaging import colour, images
from retouch.imaging.drift import Compared, fit_back, is_worth_undoing, measure
from retouch.serving.source_image import SourceImage


def postprocess(
    source: SourceImage,
    cells: np.ndarray,
    picture: np.ndarray,
    step: tuple[int, int],
    info: EditInfo,
) -> EditAnswer:
    """The answer to send.

    `cells` bool [N] is the edited region. `picture` uint8 [H, W, 3] is the decoded result after the
    last step, before it a preview of any size. `step` is (done, total). `info` comes from the
    stages before. Outside the region the result holds the source image's own pixels, bit for bit;
    the region is the user's mask, or the cells without one."""
    info.kind = "preview"
    info.steps = step[1]
    if step[0] == step[1]:
        info.kind = "final"
        editable = source.editable(cells)
        opaque = source.photo.opaque()
        edited, info.drift = _fitted(source, opaque, picture, editable)
        picture = _pasted(source, opaque, edited, editable)
    info.region = _extent(cells.reshape(source.grid))
    icc = source.photo.icc if info.kind == "final" else None
    encoded = images.encode(
        picture, source.format.name, source.format.quality, source.format.level, icc
    )
    return EditAnswer(base64.b64encode(encoded) if source.format.base64 else encoded, step, info)


def _fitted(
    source: SourceImage, opaque: np.ndarray, picture: np.ndarray, editable: np.ndarray
) -> tuple[np.ndarray, Drift]:
    """The edit at the photo's size and in its colours, uint8 [H, W, 3], and its drift; moved back
    where the request asks for it. `opaque` are the photo's pixels, `editable` is bool [H, W]."""
    edited = colour.from_srgb(picture, source.photo.icc)
    height, width = editable.shape
    compared = Compared.of(opaque, edited, editable)
    drift = measure(compared)
    if source.align and drift.shift and is_worth_undoing(drift, compared):
        drift.undone = True
        return fit_back(edited, drift.shift, (height, width)), drift
    return images.fit(edited, (height, width)), drift


def _pasted(
    source: SourceImage, opaque: np.ndarray, edited: np.ndarray, editable: np.ndarray
) -> np.ndarray:
    """The result in the photo's own colours, uint8 [H, W, 3]. A photo with transparency gives
    [H, W, 4] in a format that has it: changed pixels are opaque, the others keep their alpha."""
    photo = source.photo
    if photo.alpha is None:
        return images.paste_back(photo.pixels, edited, editable, source.keep_below)
    changed = images.changed(opaque, edited, editable, source.keep_below)
    if source.format.name == "jpeg":
        return np.where(changed[:, :, None], edited, opaque)
    pixels = np.where(changed[:, :, None], edited, photo.pixels)
    return np.dstack([pixels, np.where(changed, np.uint8(255), photo.alpha)])


def _extent(grid: np.ndarray) -> Region:
    """The box and the share of the edited cells, bool [rows, columns]."""
    if not grid.any():  # the parser found nothing to change
        return Region((0.0, 0.0, 0.0, 0.0), 0.0)
    rows = np.nonzero(grid.any(axis=1))[0]
    columns = np.nonzero(grid.any(axis=0))[0]
    height, width = grid.shape
    box = (
        round(float(columns[0] / width), 4),
        round(float(rows[0] / height), 4),
        round(float((columns[-1] + 1) / width), 4),
        round(float((rows[-1] + 1) / height), 4),
    )
    return Region(box, round(float(grid.mean()), 4))

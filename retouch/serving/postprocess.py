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

    `cells` bool [N] is the edited region. `picture` uint8 [H, W, 3 or 4] is the decoded result
    after the last step, before it a preview of any size. `step` is (done, total). `info` comes from
    the stages before. Outside the region the result holds the source image's own pixels, bit for
    bit; the region is the user's mask, or the cells without one. A result of its own size is
    answered whole. Where the instruction asks for nothing, the result is the source image."""
    info.kind = "preview"
    info.steps = step[1]
    if step[0] == step[1]:
        info.kind = "final"
        if info.asks_for_nothing:
            picture = _whole(source)
        else:
            picture, info.drift = _answered(source, cells, picture)
    info.region = _extent(cells.reshape(source.grid))
    icc = source.photo.icc if info.kind == "final" else None
    encoded = images.encode(
        picture, source.format.name, source.format.quality, source.format.level, icc
    )
    return EditAnswer(base64.b64encode(encoded) if source.format.base64 else encoded, step, info)


def _answered(
    source: SourceImage, cells: np.ndarray, picture: np.ndarray
) -> tuple[np.ndarray, Drift | None]:
    """The result in the photo's own colours, uint8 [H, W, 3], or [H, W, 4] in an answer with
    transparency, and its drift. One of its own size has none."""
    shown = picture if source.is_transparent else images.on_white(picture)
    edited = colour.from_srgb(shown, source.photo.icc)
    if source.size:
        return edited, None
    editable = source.editable(cells)
    opaque = source.photo.opaque()
    edited, drift = _fitted(source, opaque, edited, editable)
    return _pasted(source, opaque, edited, editable), drift


def _fitted(
    source: SourceImage, opaque: np.ndarray, edited: np.ndarray, editable: np.ndarray
) -> tuple[np.ndarray, Drift]:
    """The edit [H, W, 3 or 4] at the photo's size, and its drift; moved back where the request asks
    for it. `opaque` are the photo's pixels, `editable` is bool [H, W]."""
    height, width = editable.shape
    compared = Compared.of(opaque, images.on_white(edited), editable)
    drift = measure(compared)
    if source.align and drift.shift and is_worth_undoing(drift, compared):
        drift.undone = True
        return fit_back(edited, drift.shift, (height, width)), drift
    return images.fit(edited, (height, width)), drift


def _whole(source: SourceImage) -> np.ndarray:
    """The photo's own pixels, uint8 [H, W, 3], or [H, W, 4] in an answer with transparency."""
    return source.photo.rgba if source.is_transparent else source.photo.opaque()


def _pasted(
    source: SourceImage, opaque: np.ndarray, edited: np.ndarray, editable: np.ndarray
) -> np.ndarray:
    """The edit in the photo. In an answer with transparency changed pixels have the edit's alpha,
    the others keep the photo's."""
    if not source.is_transparent:
        return images.paste_back(opaque, edited, editable, source.keep_below)
    pasted = _whole(source)
    before = pasted if edited.shape[2] == 4 else opaque
    changed = images.changed(before, edited, editable, source.keep_below)
    np.copyto(pasted, images.with_alpha(edited), where=changed[:, :, None])
    return pasted


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

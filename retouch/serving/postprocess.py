"""The last stage: edited pixels at the source image's size, around its own untouched pixels,
encoded."""

from __future__ import annotations

import base64

import numpy as np

from retouch.api.response import Drift, EditAnswer, EditInfo, Region
from retouch.imaging import colour, images
from retouch.imaging.detail import Change
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
            picture = _answered(source, cells, picture, info)
    info.region = _extent(cells.reshape(source.grid))
    icc = source.photo.icc if info.kind == "final" else None
    encoded = images.encode(
        picture, source.format.name, source.format.quality, source.format.level, icc
    )
    return EditAnswer(base64.b64encode(encoded) if source.format.base64 else encoded, step, info)


def _answered(
    source: SourceImage, cells: np.ndarray, picture: np.ndarray, info: EditInfo
) -> np.ndarray:
    """The result in the photo's own colours, uint8 [H, W, 3], or [H, W, 4] in an answer with
    transparency. Its drift and detail go into `info`; one of its own size has none."""
    shown = picture if source.is_transparent else images.on_white(picture)
    edited = colour.from_srgb(shown, source.photo.icc)
    if source.size:
        return edited
    editable = source.editable(cells)
    opaque = source.photo.opaque()
    info.drift = drift = _drift(source, opaque, edited, editable)
    change = _change(source, cells, edited, drift)
    if change is None:
        edited = _fitted(edited, drift, (editable.shape[0], editable.shape[1]))
        return _pasted(source, opaque, edited, editable, source.keep_below)
    info.detail = change.detail
    return _pasted(source, opaque, change.apply(opaque), editable, keep_below=0)


def _drift(
    source: SourceImage, opaque: np.ndarray, edited: np.ndarray, editable: np.ndarray
) -> Drift:
    """The drift of the edit [h, w, 3 or 4], which is undone where the request asks for it. `opaque`
    are the photo's pixels, `editable` is bool [H, W]."""
    compared = Compared.of(opaque, images.on_white(edited), editable)
    drift = measure(compared)
    drift.undone = bool(source.align and drift.shift and is_worth_undoing(drift, compared))
    return drift


def _change(
    source: SourceImage, cells: np.ndarray, edited: np.ndarray, drift: Drift
) -> Change | None:
    """The change that the edit [h, w, 3 or 4] makes to the photo, for an answer with the photo's
    detail; None where DETAIL is off, the photo is no larger, or the edit has transparency."""
    height, width, channels = edited.shape
    rows, columns, _ = source.photo.pixels.shape
    if not source.keeps_detail or channels == 4 or rows <= height or columns <= width:
        return None
    editable = source.editable(cells, (height, width))
    if not editable.any():
        return None
    fitted = images.fit(source.fitted, (height, width))
    scale = width / columns, height / rows
    edited = _fitted(edited, drift, (height, width), scale)
    return Change.of(fitted, edited, editable, source.finest_detail)


def _fitted(
    edited: np.ndarray,
    drift: Drift,
    size: tuple[int, int],
    scale: tuple[float, float] = (1.0, 1.0),
) -> np.ndarray:
    """The edit [h, w, 3 or 4] at `size` (height, width), moved back where its drift is undone.
    `scale` is the width and height of one of the photo's pixels there."""
    if not drift.undone or drift.shift is None:
        return images.fit(edited, size)
    right, down = drift.shift
    return fit_back(edited, (right * scale[0], down * scale[1]), size)


def _whole(source: SourceImage) -> np.ndarray:
    """The photo's own pixels, uint8 [H, W, 3], or [H, W, 4] in an answer with transparency."""
    return source.photo.rgba if source.is_transparent else source.photo.opaque()


def _pasted(
    source: SourceImage,
    opaque: np.ndarray,
    edited: np.ndarray,
    editable: np.ndarray,
    keep_below: int,
) -> np.ndarray:
    """The edit in the photo. In an answer with transparency changed pixels have the edit's alpha,
    the others keep the photo's."""
    if not source.is_transparent:
        return images.paste_back(opaque, edited, editable, keep_below)
    pasted = _whole(source)
    before = pasted if edited.shape[2] == 4 else opaque
    changed = images.changed(before, edited, editable, keep_below)
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

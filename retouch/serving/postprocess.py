"""The last stage: edited pixels at the source image's size, around its own untouched pixels,
encoded."""

from __future__ import annotations

import base64

import numpy as np

from retouch.api.response import EditAnswer, EditInfo, Region
from retouch.imaging import colour, images
from retouch.imaging.photo import Photo
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
    answered whole."""
    info.kind = "preview"
    info.steps = step[1]
    if step[0] == step[1]:
        info.kind = "final"
        picture = _whole(source, picture) if source.size else _pasted(source, cells, picture)
    info.region = _extent(cells.reshape(source.grid))
    icc = source.photo.icc if info.kind == "final" else None
    encoded = images.encode(
        picture, source.format.name, source.format.quality, source.format.level, icc
    )
    return EditAnswer(base64.b64encode(encoded) if source.format.base64 else encoded, step, info)


def _pasted(source: SourceImage, cells: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """The result in the photo's own colours, uint8 [H, W, 3], or [H, W, 4] in an answer with
    transparency: changed pixels have the result's alpha, the others keep the photo's."""
    photo = source.photo
    editable = source.editable(cells)
    if not source.is_transparent:
        edited = _fitted(images.on_white(picture), photo)
        return images.paste_back(photo.opaque(), edited, editable, source.keep_below)
    pasted = photo.rgba
    edited = _fitted(picture, photo)
    before = pasted if picture.shape[2] == 4 else photo.opaque()
    changed = images.changed(before, edited, editable, source.keep_below)
    np.copyto(pasted, images.with_alpha(edited), where=changed[:, :, None])
    return pasted


def _whole(source: SourceImage, picture: np.ndarray) -> np.ndarray:
    """The result in the photo's own colours and at its own size."""
    opaque = picture if source.is_transparent else images.on_white(picture)
    return _coloured(opaque, source.photo)


def _fitted(picture: np.ndarray, photo: Photo) -> np.ndarray:
    """A picture [H, W, 3 or 4] of sRGB in a photo's colours and at its size."""
    height, width, _ = photo.pixels.shape
    return images.fit(_coloured(picture, photo), (height, width))


def _coloured(picture: np.ndarray, photo: Photo) -> np.ndarray:
    """A picture [H, W, 3 or 4] of sRGB in a photo's colours."""
    colours = colour.from_srgb(np.ascontiguousarray(picture[:, :, :3]), photo.icc)
    return np.dstack([colours, picture[:, :, 3:]])


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

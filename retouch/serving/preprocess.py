"""The first stage: a request becomes pixels at a bucket and a cell mask, for the lane that was
chosen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retouch.api.errors import RequestError
from retouch.api.request import EditRequest
from retouch.api.response import EditInfo
from retouch.families.base import Family
from retouch.imaging import colour, images
from retouch.imaging.photo import Check, Photo, go_on
from retouch.routing.router import Choice
from retouch.serving.source_image import SourceImage

# values of MASK: what the user said about each cell
KEEP = 0
EDIT = 1
ASK = 2


@dataclass
class Prepared:
    """`pixels` sRGB uint8 [H, W, 3] at a bucket, `mask` uint8 [N] of KEEP, EDIT or ASK (the
    parser).

    `references` uint8 [h, w, 3] at sizes of their own; the `negative` instruction, "" where there
    is none, counts by `true_cfg`."""

    source: SourceImage
    pixels: np.ndarray
    mask: np.ndarray
    info: EditInfo
    references: list[np.ndarray]
    negative: str
    true_cfg: float


def preprocess(
    request: EditRequest, choice: Choice, family: Family, check: Check = go_on
) -> Prepared:
    """Decode and fit the images and the mask; RequestError, also for what the family does not know.
    `check` is called while files are decoded, and ends that by raising."""
    if len(request.references) > family.max_references:
        raise RequestError(
            f"REFERENCES holds {len(request.references)} images beside the edited one; "
            f"this checkpoint takes {family.max_references}",
            field="REFERENCES",
        )
    if request.negative and not family.supports_negative:
        raise RequestError(
            "NEGATIVE is not known to this checkpoint; leave it empty", field="NEGATIVE"
        )
    source = SourceImage.of(request.image, request.region, request.format, family, check)
    first_frame = source.format.first_frame
    references = []
    for file in request.references:  # one after the other: no two large ones lie in memory
        photo = images.decode_photo(file, "REFERENCES", check, first_frame)
        references.append(_fitted(photo, family.size(*photo.pixels.shape[:2])))
    pixels = _fitted(source.photo, source.bucket)
    true_cfg = request.true_cfg or family.true_cfg
    if request.negative and true_cfg <= 1:
        raise RequestError(
            "NEGATIVE counts with a TRUE_CFG above 1 only; send one, or leave NEGATIVE empty",
            field="NEGATIVE",
        )
    used = 0.0 if family.guidance is None else request.guidance  # INFO tells what counts
    info = EditInfo("", request.seed, choice.lane, choice.why, guidance=used, notes=source.notes())
    negative = request.negative or family.negative if true_cfg > 1 else ""
    return Prepared(source, pixels, _mask(source), info, references, negative, true_cfg)


def _fitted(photo: Photo, size: tuple[int, int]) -> np.ndarray:
    """sRGB at the network's (height, width): a large photo is not converted as a whole."""
    return colour.to_srgb(images.fit(photo.opaque(), size), photo.icc)


def region_of(mask: np.ndarray, parsed: np.ndarray) -> np.ndarray:
    """The cells to edit, bool [N]: the user's word on each, else the parser's."""
    return np.where(mask == ASK, parsed, mask == EDIT)


def _mask(source: SourceImage) -> np.ndarray:
    if isinstance(source.region, str):
        rows, columns = source.grid
        return np.full(rows * columns, ASK if source.region == "auto" else EDIT, np.uint8)
    return images.cells_of_mask(source.region, source.bucket).astype(np.uint8)

"""The first stage: a request to pixels at the size of its edit, and a mask of cells."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from retouch.api.adapters import parse_adapters
from retouch.api.answer_format import parse_format
from retouch.api.errors import RequestError
from retouch.api.geometry import CELL
from retouch.api.request import EditRequest
from retouch.api.response import EditInfo
from retouch.families.base import Family
from retouch.families.registry import families_where
from retouch.imaging import colour, images
from retouch.imaging.photo import Check, Photo, go_on
from retouch.routing.router import Choice
from retouch.serving.source_image import SourceImage

# values of MASK, of every cell
KEEP = 0
EDIT = 1
ASK = 2  # the parser decides


@dataclass
class Prepared:
    """A decoded and fitted request.

    `family` is the lane's. `pixels` are sRGB uint8 [H, W, 3] at the bucket. `mask` is uint8 [N] of
    KEEP, EDIT or ASK. `references` are sRGB uint8 [h, w, 3] at sizes of their own. `vae_pixels` are
    `pixels`; they and `references` have alpha in a family that encodes it, where the file has some.
    `negative` is the negative instruction, None without one, and `true_cfg` its strength."""

    family: Family
    source: SourceImage
    instruction: str
    pixels: np.ndarray
    vae_pixels: np.ndarray
    mask: np.ndarray
    info: EditInfo
    references: list[np.ndarray]
    negative: str | None
    true_cfg: float


def preprocess(
    request: EditRequest, choice: Choice, family: Family, check: Check = go_on
) -> Prepared:
    """Decode and fit the images and the mask of a request. RequestError, also for options that the
    family does not support. `check` is called during decoding and stops it by raising."""
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
    if request.region_cache and not family.supports_region_cache:
        raise RequestError(
            "REGION_CACHE is not known to this checkpoint; leave it 0", field="REGION_CACHE"
        )
    _check_background(request, family)
    source = SourceImage.of(
        request.image,
        request.region,
        request.format,
        family,
        check,
        bool(request.align),
        request.background,
        _size(request, family),
        request.detail == "auto",
    )
    first_frame = source.format.first_frame
    references = []
    for file in request.references:  # one at a time: only one large photo is in memory
        photo = images.decode_photo(file, "REFERENCES", check, first_frame)
        references.append(_vae_pixels(photo, family.size(*photo.pixels.shape[:2]), family))
    pixels = colour.to_srgb(source.fitted, source.photo.icc)
    is_transparent = request.background == "transparent"
    instruction = family.transparent(request.instruction) if is_transparent else request.instruction
    true_cfg = request.true_cfg or family.true_cfg
    if request.negative and true_cfg <= 1:
        raise RequestError(
            "NEGATIVE counts with a TRUE_CFG above 1 only; send one, or leave NEGATIVE empty",
            field="NEGATIVE",
        )
    negative = (request.negative or family.negative) if true_cfg > 1 else None
    info = EditInfo(
        "",
        request.seed,
        choice.lane,
        choice.reason,
        guidance=0.0 if family.guidance is None else request.guidance or family.guidance,
        true_cfg=1.0 if negative is None else true_cfg,
        notes=source.notes(),
        defaults=family.defaults(),
        adapters=dict(parse_adapters(request.adapter)),
    )
    return Prepared(
        family,
        source,
        instruction,
        pixels,
        _vae_pixels(source.photo, source.bucket, family),
        _mask(source),
        info,
        references,
        negative,
        true_cfg,
    )


def _check_background(request: EditRequest, family: Family) -> None:
    """RequestError where a transparent background cannot be made, or not be sent."""
    if request.background != "transparent":
        return
    if not family.supports_transparency:
        raise RequestError(
            "BACKGROUND transparent is not known to this checkpoint; send auto or opaque, or use "
            f"one of the family {families_where(lambda kind: kind.supports_transparency)}",
            field="BACKGROUND",
        )
    if parse_format(request.format).name == "jpeg":
        raise RequestError(
            "BACKGROUND transparent needs a FORMAT with transparency: png or webp",
            field="BACKGROUND",
        )


def _fitted(photo: Photo, size: tuple[int, int]) -> np.ndarray:
    """sRGB uint8 at `size` (height, width). Colours are converted after scaling: less work."""
    return colour.to_srgb(images.fit(photo.opaque(), size), photo.icc)


def _size(request: EditRequest, family: Family) -> tuple[int, int] | None:
    """Height and width of SIZE, None for auto; RequestError where the family has no such target."""
    if request.size == "auto":
        return None
    if not family.supports_sizes:
        raise RequestError(
            "SIZE is not known to this checkpoint; leave it out, or use one of the family "
            f"{families_where(lambda kind: kind.supports_sizes)}",
            field="SIZE",
        )
    width, height = map(int, request.size.split("x"))
    try:
        family.check_size((height, width))
    except ValueError as failure:
        raise RequestError(f"SIZE is {request.size}; it {failure}", field="SIZE") from None
    return height, width


def _vae_pixels(photo: Photo, size: tuple[int, int], family: Family) -> np.ndarray:
    """What the autoencoder takes of a photo: with its alpha, if both have it."""
    if photo.alpha is None or not family.supports_transparency:
        return _fitted(photo, size)
    return colour.to_srgb(images.fit(photo.rgba, size), photo.icc)


def region_of(mask: np.ndarray, parsed: np.ndarray) -> np.ndarray:
    """The cells to edit, bool [N]: those of the user's mask, and where it is ASK the parser's."""
    return np.where(mask == ASK, parsed, mask == EDIT)


def _mask(source: SourceImage) -> np.ndarray:
    if isinstance(source.region, str):
        cells = math.prod(source.bucket) // CELL**2
        return np.full(cells, ASK if source.region == "auto" else EDIT, np.uint8)
    return images.cells_of_mask(source.region, source.bucket).astype(np.uint8)

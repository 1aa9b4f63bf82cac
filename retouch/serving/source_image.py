"""The source image of an edit: the photo, the user's mask and the format of the answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from retouch.api.answer_format import Format, parse_format
from retouch.api.errors import RequestError
from retouch.api.geometry import CELL
from retouch.api.limits import REGIONS
from retouch.families.base import Family
from retouch.imaging import images
from retouch.imaging.photo import Check, Photo, go_on

KEYWORDS = tuple(name.encode() for name in REGIONS)
WHOLE = (b"auto", b"full")  # of KEYWORDS, with an answer of its own size


@dataclass(frozen=True)
class SourceImage:
    """`photo` has its own colours and transparency. `region` is one of REGIONS or the user's mask,
    bool [H, W]. The photo is edited at `bucket` (height, width). Pixels that the edit changes by
    less than `keep_below` grey levels keep their values. `align` moves the edit back where the
    model has moved the whole picture. `background` is BACKGROUND's value. `size` (height, width) is
    that of an answer which is a picture of its own, as of SIZE. `keeps_detail` is whether DETAIL is
    auto. The autoencoder blurs what is smaller than `finest_detail` pixels of the bucket."""

    photo: Photo
    region: str | np.ndarray
    format: Format
    bucket: tuple[int, int]
    keep_below: int
    align: bool = False
    background: str = "auto"
    size: tuple[int, int] | None = None
    keeps_detail: bool = True
    finest_detail: int = 1

    @classmethod
    def of(
        cls,
        image: bytes,
        region: bytes,
        format: str,
        family: Family,
        check: Check = go_on,
        align: bool = False,
        background: str = "auto",
        size: tuple[int, int] | None = None,
        keeps_detail: bool = True,
    ) -> SourceImage:
        """Decode IMAGE, REGION and FORMAT of a request; RequestError. `check` is called during
        decoding and stops it by raising."""
        answer = parse_format(format)
        photo = images.decode_photo(image, check=check, first_frame=answer.first_frame)
        if photo.alpha is not None and not photo.alpha.any():
            raise RequestError(
                "IMAGE is transparent all over; send a picture that shows something", field="IMAGE"
            )
        keyword = region.strip().lower()
        if size and keyword not in WHOLE:
            raise RequestError(
                "SIZE cannot be combined with a mask or REGION find; send REGION auto or full, or "
                "SIZE auto",
                field="SIZE",
            )
        height, width, _ = photo.pixels.shape
        mask = (
            keyword.decode()
            if keyword in KEYWORDS
            else images.decode_mask(region, height, width, orientation=photo.orientation)
        )
        bucket = family.size(height, width)
        return cls(
            photo,
            mask,
            answer,
            bucket,
            family.keep_below,
            align,
            background,
            size,
            keeps_detail,
            family.finest_detail,
        )

    @cached_property
    def fitted(self) -> np.ndarray:
        """The photo's opaque pixels at `bucket`, in its own colours, uint8 [h, w, 3]."""
        return images.fit(self.photo.opaque(), self.bucket)

    def notes(self) -> list[str]:
        """The properties of the photo that the answer loses, one sentence for each."""
        is_flattened = self.photo.alpha is not None and self.format.name == "jpeg"
        flattened = ["the image's transparency lies on white: jpeg has none; ask for png or webp"]
        return self.photo.notes + flattened * is_flattened

    @property
    def is_transparent(self) -> bool:
        """Whether the answer has transparency, where the result or the photo has some."""
        if self.format.name == "jpeg" or self.background == "opaque":
            return False
        return self.background == "transparent" or self.photo.alpha is not None

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the result's cells."""
        height, width = self.size or self.bucket
        return height // CELL, width // CELL

    def editable(self, cells: np.ndarray, size: tuple[int, int] | None = None) -> np.ndarray:
        """The pixels that the answer may change, bool [H, W]: the user's mask, or the cells
        `cells`, bool [N]. With a `size` (height, width) those of the picture at that size."""
        if isinstance(self.region, str):
            return images.mask_of_cells(cells, self.bucket, *(size or self.photo.pixels.shape[:2]))
        return self.region if size is None else images.small_mask(self.region, size)

"""What a request brings that its answer is made of again: the photo, the user's mask, and how
answers are encoded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retouch.api.answer_format import Format, parse_format
from retouch.api.errors import RequestError
from retouch.api.geometry import CELL
from retouch.families.base import Family
from retouch.imaging import images
from retouch.imaging.photo import Check, Photo, go_on

WORDS = (b"auto", b"full")  # of REGION; anything else is a mask


@dataclass(frozen=True)
class SourceImage:
    """`photo` with its colours and transparency; `region` is "auto", "full" or the user's mask,
    bool [H, W]; it is edited at the (height, width) `bucket`, and what moves by fewer grey levels
    than `keep_below` stays as it was."""

    photo: Photo
    region: str | np.ndarray
    format: Format
    bucket: tuple[int, int]
    keep_below: int

    @classmethod
    def of(
        cls, image: bytes, region: bytes, format: str, family: Family, check: Check = go_on
    ) -> SourceImage:
        """Decode IMAGE, REGION and FORMAT of a request; RequestError, and what `check` raises on
        the way."""
        answer = parse_format(format)
        photo = images.decode_photo(image, check=check, first_frame=answer.first_frame)
        if photo.alpha is not None and not photo.alpha.any():
            raise RequestError(
                "IMAGE is transparent all over; send a picture that shows something", field="IMAGE"
            )
        word = region.strip().lower()
        shape = photo.pixels.shape[:2]
        mask = (
            word.decode()
            if word in WORDS
            else images.decode_mask(region, *shape, orientation=photo.orientation)
        )
        return cls(photo, mask, answer, family.size(*shape), family.keep_below)

    def notes(self) -> list[str]:
        """What of the photo its answer will not have, a sentence each."""
        is_flattened = self.photo.alpha is not None and self.format.name == "jpeg"
        flattened = ["the image's transparency lies on white: jpeg has none; ask for png or webp"]
        return self.photo.notes + flattened * is_flattened

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the bucket's cells."""
        height, width = self.bucket
        return height // CELL, width // CELL

    def editable(self, cells: np.ndarray) -> np.ndarray:
        """Pixels that the answer may change, bool [H, W]: the mask's, or those of `cells`, bool
        [N]."""
        if isinstance(self.region, str):
            return images.mask_of_cells(cells, self.bucket, *self.photo.pixels.shape[:2])
        return self.region

"""What a request brings that its answer is made of again: the photo, the user's mask, and how answers are encoded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retouch import images
from retouch.families import Family
from retouch.types import CELL, Format, parse_format

WORDS = (b"auto", b"full")  # of REGION; anything else is a mask


@dataclass(frozen=True)
class Source:
    """`photo` uint8 [H, W, 3]; `region` is "auto", "full" or the user's mask, bool [H, W]; it is edited at the (height,
    width) `bucket`, and what moves by fewer grey levels than `keep_below` stays as it was."""

    photo: np.ndarray
    region: str | np.ndarray
    format: Format
    bucket: tuple[int, int]
    keep_below: int

    @classmethod
    def of(cls, image: bytes, region: bytes, format: str, family: Family) -> "Source":
        """Decode IMAGE, REGION and FORMAT of a request; RequestError."""
        photo, word = images.decode(image), region.strip().lower()
        shape = photo.shape[:2]
        mask = word.decode() if word in WORDS else images.decode_mask(region, *shape)
        return cls(photo, mask, parse_format(format), family.size(*shape), family.keep_below)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the bucket's cells."""
        height, width = self.bucket
        return height // CELL, width // CELL

    def editable(self, cells: np.ndarray) -> np.ndarray:
        """Pixels that the answer may change, bool [H, W]: the mask's, or those of `cells`, bool [N]."""
        if isinstance(self.region, str):
            return images.mask_of_cells(cells, self.bucket, *self.photo.shape[:2])
        return self.region

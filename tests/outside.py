"""What an answer must keep of its source image: every pixel outside of a mask, bit for bit."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from pictures import file_of
from retouch.api.request import EditRequest
from retouch.imaging import images, rgb_profile

P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3127, 0.3290))
# formats that keep every pixel; lossy ones keep none
EXACT_FORMATS = ("png", "png;level=6", "webp")


def photo(size: tuple[int, int], channels: int, seed: int = 0) -> np.ndarray:
    """Noise, uint8 [height, width, channels]: every pixel that moves shows."""
    return np.random.default_rng(seed).integers(0, 256, (*size, channels), np.uint8)


def mask_of(size: tuple[int, int]) -> np.ndarray:
    """An oblong and a single pixel, bool [height, width], on the borders of no cell."""
    height, width = size
    mask = np.zeros(size, bool)
    mask[height // 5 : height // 2 + 3, width // 7 : width // 2 + 5] = True
    mask[-2, -3] = True
    return mask


def stored(encoded: bytes) -> np.ndarray:
    """The pixels of a file as they are stored, with its transparency, if it has any."""
    return np.asarray(Image.open(io.BytesIO(encoded)))


def assert_outside_is_the_sources(loop, sizes, **options) -> None:
    """Of photos of `sizes` (height, width), which no family edits at their own size: opaque,
    transparent and with a colour profile, in every exact format. The inside changes."""
    p3 = rgb_profile.of(P3, 2.2)
    kinds = ((3, None), (4, None), (3, p3))
    for number, size in enumerate(sizes):
        mask = mask_of(size)
        channels, icc = kinds[number % len(kinds)]
        pixels = photo(size, channels, number)
        request = EditRequest(
            file_of(pixels, icc_profile=icc),
            "make it blue",
            seed=number,
            region=images.encode_mask(mask),
            format=EXACT_FORMATS[number % len(EXACT_FORMATS)],
            **options,
        )
        answer = loop.answer(request)
        edited = stored(answer.image)
        assert edited.shape == pixels.shape
        np.testing.assert_array_equal(edited[~mask], pixels[~mask])
        assert (edited != pixels)[mask].any(-1).mean() > 0.5
        assert Image.open(io.BytesIO(answer.image)).info.get("icc_profile") == icc
        assert 0 < answer.info.region.share < 1

"""Colour management: conversion of images to sRGB for the networks, and back.

An image keeps its RGB profile and its own pixels; the edit is converted into its colours. PNG's
gAMA, cHRM and cICP chunks become such a profile. CMYK, grey and Lab images are converted when the
file is read: to sRGB, or to a wider RGB where sRGB does not hold their colours.
"""

from __future__ import annotations

import functools
import io
import struct
from typing import cast

import numpy as np
from PIL import Image, ImageCms

from retouch.imaging import rgb_profile

# x and y of red, green, blue and white (ITU-T H.273, table 2)
PRIMARIES = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), (0.3127, 0.3290)),
    5: ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060), (0.3127, 0.3290)),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), (0.3127, 0.3290)),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), (0.3127, 0.3290)),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3140, 0.3510)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3127, 0.3290)),
}
GAMMA_TRANSFERS = {4: 2.2, 5: 2.8, 8: 1.0}  # H.273, table 3
SRGB_TRANSFERS = (1, 6, 13, 14, 15)  # displays show BT.709 with sRGB's curve
ADOBE = ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060), (0.3127, 0.3290))  # Adobe RGB (1998)
# ROMM RGB (ISO 22028-2)
PROPHOTO = ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), (0.3457, 0.3585))
SAMPLE_SIDE = 512
VISIBLE = 3.0  # CIE 1976 difference, above the rounding of 8 bits
DARK = 10.0  # lightness below which ink profiles have colours that no display can show
OUTSIDE = 0.002  # largest share of pixels whose colours sRGB may lose
OUTSIDE_WIDE = 0.02  # the same for Adobe RGB: wider colours are coarser in 8 bits
LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
STRIP = 256  # rows at a time, so that wider numbers need no copy of a large image
SAME = 1 / 512  # a smaller difference of gamma or chromaticity changes no 8-bit value


def srgb_profile() -> ImageCms.ImageCmsProfile:
    return ImageCms.createProfile("sRGB")


@functools.lru_cache(maxsize=32)
def rgb_to_srgb(icc: bytes) -> ImageCms.ImageCmsTransform | None:
    return _transform(icc, "RGB", "RGB", None)


@functools.lru_cache(maxsize=32)
def srgb_to_rgb(icc: bytes) -> ImageCms.ImageCmsTransform | None:
    return _transform(None, "RGB", "RGB", icc)


def is_rgb_profile(icc: bytes) -> bool:
    """Whether it describes RGB pixels other than sRGB and can be used in both directions."""
    if icc[16:20] != b"RGB " or rgb_to_srgb(icc) is None or srgb_to_rgb(icc) is None:
        return False
    return not _is_identity(icc)


def to_srgb(pixels: np.ndarray, icc: bytes | None) -> np.ndarray:
    """Convert pixels uint8 [H, W, 3 or 4] of an RGB profile to sRGB. Returns the same array without
    a profile."""
    return _applied(None if icc is None else rgb_to_srgb(icc), pixels)


def from_srgb(pixels: np.ndarray, icc: bytes | None) -> np.ndarray:
    """Convert sRGB pixels uint8 [H, W, 3 or 4] into the colours of an RGB profile."""
    return _applied(None if icc is None else srgb_to_rgb(icc), pixels)


def converted(image: Image.Image, icc: bytes | None) -> tuple[Image.Image, bytes | None] | None:
    """A CMYK, grey or Lab image converted to RGB by its profile, and its new profile (None: sRGB).

    Lab needs no profile. Returns None when the profile does not fit the image.
    """
    source = icc or LAB
    to_srgb_ = _transform(source, image.mode, "RGB", None)
    if to_srgb_ is None:
        return None
    target = None if image.mode == "L" else _narrowest(image, source)
    transform = to_srgb_ if target is None else _built(source, image.mode, "RGB", target)
    return _recoloured(image, transform), target


def profile_of_chunks(chunks: dict[bytes, bytes]) -> tuple[bytes | None, str]:
    """The profile of a PNG without an ICC profile (None: sRGB), and a note when its colours are
    unknown.

    The order is that of the PNG specification: cICP, sRGB, then gAMA and cHRM."""
    if b"cICP" in chunks:
        return _by_cicp(chunks[b"cICP"])
    if b"sRGB" in chunks or not chunks:
        return None, ""
    gamma = 100_000 / max(1, struct.unpack(">I", chunks[b"gAMA"])[0]) if b"gAMA" in chunks else 0.0
    primaries = PRIMARIES[1]
    if b"cHRM" in chunks:
        white, *colours = np.array(struct.unpack(">8I", chunks[b"cHRM"])).reshape(4, 2) / 100_000
        primaries = (*map(tuple, colours), tuple(white))
    return _by_primaries(primaries, gamma)


def _by_cicp(body: bytes) -> tuple[bytes | None, str]:
    primaries, transfer, matrix, is_full_range = body
    is_known = transfer in SRGB_TRANSFERS or transfer in GAMMA_TRANSFERS
    if primaries not in PRIMARIES or not is_known or matrix != 0 or not is_full_range:
        return None, "the image's cICP colours are not known; it was read as sRGB"
    return _by_primaries(PRIMARIES[primaries], GAMMA_TRANSFERS.get(transfer, 0.0))


def _by_primaries(primaries: tuple, gamma: float) -> tuple[bytes | None, str]:
    """The profile of chromaticities (red, green, blue, white) and a decoding gamma, 0 for sRGB's
    curve."""
    is_srgb = np.abs(np.array(primaries) - PRIMARIES[1]).max() < SAME
    if is_srgb and (not gamma or abs(gamma - 2.2) < 0.01):  # programs write sRGB as 45455
        return None, ""
    icc = rgb_profile.of(primaries, gamma) if 0 <= gamma < 10 else None
    if icc is None or rgb_to_srgb(icc) is None or srgb_to_rgb(icc) is None:
        return None, "the image's cHRM or gAMA chunk is wrong; it was read as sRGB"
    return icc, ""


def _narrowest(image: Image.Image, icc: bytes) -> bytes | None:
    """The profile of the narrowest RGB space that holds the image's colours, by a sample of its
    pixels."""
    sample = image.resize([min(side, SAMPLE_SIDE) for side in image.size], Image.Resampling.NEAREST)
    exact = _transform(icc, image.mode, "LAB", LAB)
    if exact is None:
        return None
    lab = _lab(_recoloured(sample, exact))
    is_visible = lab[:, :, 0] > DARK
    shares = {}
    for target in (None, rgb_profile.of(ADOBE, 563 / 256), rgb_profile.of(PROPHOTO, 1.8)):
        to_rgb = _built(icc, image.mode, "RGB", target)
        to_lab = _built(target, "RGB", "LAB", LAB)
        rounded = _lab(_recoloured(_recoloured(sample, to_rgb), to_lab))
        is_lost = np.linalg.norm(rounded - lab, axis=2) > VISIBLE
        shares[target] = (is_lost & is_visible).mean()
        if shares[target] <= (OUTSIDE if target is None else OUTSIDE_WIDE):
            return target
    return min(shares, key=shares.__getitem__)


def _lab(image: Image.Image) -> np.ndarray:
    """CIE Lab [H, W, 3] of an image with Pillow's 8 bits a channel."""
    levels = np.asarray(image)
    return np.dstack([levels[:, :, 0] * (100 / 255), levels[:, :, 1:].view(np.int8)])


def _transform(
    source: bytes | None, mode: str, output: str, target: bytes | None
) -> ImageCms.ImageCmsTransform | None:
    """The conversion between two profiles (None: sRGB); None when they do not fit the modes."""
    try:
        return _built(source, mode, output, target)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _built(
    source: bytes | None, mode: str, output: str, target: bytes | None
) -> ImageCms.ImageCmsTransform:
    return ImageCms.buildTransform(
        _opened(source),
        _opened(target),
        mode,
        output,
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


def _opened(icc: bytes | None) -> ImageCms.ImageCmsProfile:
    return srgb_profile() if icc is None else ImageCms.getOpenProfile(io.BytesIO(icc))


@functools.lru_cache(maxsize=32)
def _is_identity(icc: bytes) -> bool:
    """Whether the profile is sRGB: no colour of a coarse grid moves by more than one level."""
    axis = np.linspace(0, 255, 9).astype(np.uint8)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(27, 27, 3)
    moved = _applied(rgb_to_srgb(icc), grid).astype(np.int16) - grid
    return bool(np.abs(moved).max() <= 1)


def _applied(transform: ImageCms.ImageCmsTransform | None, pixels: np.ndarray) -> np.ndarray:
    """Alpha stays as it is."""
    if transform is None:
        return pixels
    image = Image.fromarray(np.ascontiguousarray(pixels[:, :, :3]))
    colours = np.asarray(_recoloured(image, transform))
    return np.dstack([colours, pixels[:, :, 3]]) if pixels.shape[2] == 4 else colours


def _recoloured(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    # the stub does not say that it is None with inPlace alone
    return cast(Image.Image, ImageCms.applyTransform(image, transform))

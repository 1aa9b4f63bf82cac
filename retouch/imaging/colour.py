"""Colour management: pictures of other colour spaces as sRGB for the networks, and back.

RGB profiles stay with the picture: its own pixels are kept, and an edit is converted into its
colours. Everything else (CMYK, grey and Lab profiles, PNG's gAMA, cHRM and cICP) is converted to
sRGB when the file is read.
"""

from __future__ import annotations

import functools
import io
import struct

import numpy as np
from PIL import Image, ImageCms

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
SRGB_TRANSFERS = (1, 6, 13, 14, 15)  # displays show BT.709's as sRGB's
STRIP = 256  # rows at a time: a large picture has no second copy in floating point
SAME = 1 / 512  # a gamma or chromaticity nearer than this to sRGB's changes no 8-bit value


def srgb_profile() -> ImageCms.ImageCmsProfile:
    return ImageCms.createProfile("sRGB")


@functools.lru_cache(maxsize=32)
def rgb_to_srgb(icc: bytes) -> ImageCms.ImageCmsTransform | None:
    return _transform(icc, "RGB", to_srgb=True)


@functools.lru_cache(maxsize=32)
def srgb_to_rgb(icc: bytes) -> ImageCms.ImageCmsTransform | None:
    return _transform(icc, "RGB", to_srgb=False)


def is_rgb_profile(icc: bytes) -> bool:
    """Whether it describes RGB pixels, can be used in both directions, and says other than sRGB."""
    if icc[16:20] != b"RGB " or rgb_to_srgb(icc) is None or srgb_to_rgb(icc) is None:
        return False
    return not _is_identity(icc)


def to_srgb(pixels: np.ndarray, icc: bytes | None) -> np.ndarray:
    """Pixels uint8 [H, W, 3] of an RGB profile as sRGB; the very same array without a profile."""
    return pixels if icc is None else _applied(rgb_to_srgb(icc), pixels)


def from_srgb(pixels: np.ndarray, icc: bytes | None) -> np.ndarray:
    """sRGB pixels uint8 [H, W, 3] in the colours of an RGB profile."""
    return pixels if icc is None else _applied(srgb_to_rgb(icc), pixels)


def converted(image: Image.Image, icc: bytes) -> Image.Image | None:
    """A CMYK, grey or Lab image as sRGB by its profile; None where the profile does not fit it."""
    transform = _transform(icc, image.mode, to_srgb=True)
    return None if transform is None else ImageCms.applyTransform(image, transform)


def by_png_chunks(pixels: np.ndarray, chunks: dict[bytes, bytes]) -> tuple[np.ndarray, str]:
    """sRGB pixels of a PNG without a profile, by the order that its specification gives: cICP,
    sRGB, then gAMA and cHRM; and a note where its colours cannot be told."""
    if b"cICP" in chunks:
        return _by_cicp(pixels, chunks[b"cICP"])
    if b"sRGB" in chunks or not chunks:
        return pixels, ""
    gamma = 100_000 / max(1, struct.unpack(">I", chunks[b"gAMA"])[0]) if b"gAMA" in chunks else 0.0
    primaries = PRIMARIES[1]
    if b"cHRM" in chunks:
        white, *colours = np.array(struct.unpack(">8I", chunks[b"cHRM"])).reshape(4, 2) / 100_000
        primaries = (*map(tuple, colours), tuple(white))
    return _by_primaries(pixels, primaries, gamma)


def _by_cicp(pixels: np.ndarray, body: bytes) -> tuple[np.ndarray, str]:
    primaries, transfer, matrix, is_full_range = body
    is_known = transfer in SRGB_TRANSFERS or transfer in GAMMA_TRANSFERS
    if primaries not in PRIMARIES or not is_known or matrix != 0 or not is_full_range:
        return pixels, "the image's cICP colours are not known; it was read as sRGB"
    return _by_primaries(pixels, PRIMARIES[primaries], GAMMA_TRANSFERS.get(transfer, 0.0))


def _by_primaries(
    pixels: np.ndarray, primaries: tuple, gamma: float
) -> tuple[np.ndarray, str]:
    """Pixels of chromaticities (red, green, blue, white) and a decoding gamma, 0 for sRGB's curve."""
    if not np.array(primaries)[:, 1].all():
        return pixels, "the image's cHRM chunk is wrong; it was read as sRGB"
    is_srgb = np.abs(np.array(primaries) - PRIMARIES[1]).max() < SAME
    if is_srgb and (not gamma or abs(gamma - 2.2) < 0.01):  # 45455 is how programs write sRGB
        return pixels, ""
    try:
        matrix = np.linalg.inv(_matrix(PRIMARIES[1])) @ _matrix(primaries)
    except np.linalg.LinAlgError:
        return pixels, "the image's cHRM chunk is wrong; it was read as sRGB"
    if not np.isfinite(matrix).all() or not 0 <= gamma < 10:
        return pixels, "the image's cHRM or gAMA chunk is wrong; it was read as sRGB"
    levels = np.arange(256) / 255
    linear = levels**gamma if gamma else _srgb_to_linear(levels)
    out = np.empty_like(pixels)
    for top in range(0, len(pixels), STRIP):
        strip = linear[pixels[top : top + STRIP]] @ matrix.T
        out[top : top + STRIP] = np.rint(_linear_to_srgb(strip.clip(0, 1)) * 255)
    return out, ""


def _matrix(primaries: tuple) -> np.ndarray:
    """Linear RGB to XYZ (Lindbloom), adapted to D65 by Bradford where the white is another."""
    xy = np.array(primaries, np.float64)
    xyz = np.column_stack([xy[:, 0] / xy[:, 1], np.ones(4), (1 - xy.sum(1)) / xy[:, 1]])
    columns = xyz[:3].T
    matrix = columns * np.linalg.solve(columns, xyz[3])
    white = np.array(PRIMARIES[1][3])
    target = np.array([white[0] / white[1], 1, (1 - white.sum()) / white[1]])
    bradford = np.array(
        [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    )
    scale = (bradford @ target) / (bradford @ xyz[3])
    return np.linalg.inv(bradford) @ np.diag(scale) @ bradford @ matrix


def _srgb_to_linear(levels: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1."""
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def _linear_to_srgb(levels: np.ndarray) -> np.ndarray:
    return np.where(levels <= 0.0031308, levels * 12.92, 1.055 * levels ** (1 / 2.4) - 0.055)


def _transform(icc: bytes, mode: str, to_srgb: bool) -> ImageCms.ImageCmsTransform | None:
    try:
        profile = ImageCms.getOpenProfile(io.BytesIO(icc))
        ends = (profile, srgb_profile()) if to_srgb else (srgb_profile(), profile)
        modes = (mode, "RGB") if to_srgb else ("RGB", mode)
        return ImageCms.buildTransform(
            *ends, *modes, renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


@functools.lru_cache(maxsize=32)
def _is_identity(icc: bytes) -> bool:
    """Whether it is sRGB by another name: no colour of a coarse grid moves by over one level."""
    axis = np.linspace(0, 255, 9).astype(np.uint8)
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(27, 27, 3)
    moved = _applied(rgb_to_srgb(icc), grid).astype(np.int16) - grid
    return bool(np.abs(moved).max() <= 1)


def _applied(transform: ImageCms.ImageCmsTransform, pixels: np.ndarray) -> np.ndarray:
    return np.asarray(ImageCms.applyTransform(Image.fromarray(pixels), transform))

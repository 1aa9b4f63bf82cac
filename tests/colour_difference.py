"""How a colour-managed viewer sees files, and how far apart two of them are."""

from __future__ import annotations

import io

import numpy as np
import pyvips
from PIL import Image


def viewed(file: bytes) -> pyvips.Image:
    """CIE Lab in floating point, without alpha, by the file's own profile; sRGB where it has
    none."""
    stored = Image.open(io.BytesIO(file))
    if stored.mode == "LAB":  # 8 bits, of which libvips reads none
        levels = np.asarray(stored)
        lab = np.dstack([levels[:, :, 0] * (100 / 255), levels[:, :, 1:].view(np.int8)])
        return pyvips.Image.new_from_array(lab.astype(np.float32), interpretation="lab")
    image = pyvips.Image.new_from_buffer(file, "")
    if image.hasalpha():
        image = image.extract_band(0, n=image.bands - 1)
    options = {"pcs": "lab", "intent": "relative", "black_point_compensation": True}
    if image.get_typeof("icc-profile-data"):
        return image.icc_import(embedded=True, **options)
    return image.colourspace("srgb").icc_import(input_profile="srgb", **options)


def differences(first: bytes, second: bytes) -> np.ndarray:
    """CIEDE2000 of each pixel of two files, float [H, W]."""
    return viewed(first).dE00(viewed(second)).numpy()


def cmyk_profile() -> bytes:
    """A profile of a printing press, which libvips holds: "Chemical proof" by Graeme Gill, in the
    public domain."""
    return bytes(pyvips.Operation.call("profile_load", "cmyk"))

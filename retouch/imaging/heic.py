"""HEIC files, which need pillow-heif."""

from __future__ import annotations

import functools
import importlib.util


@functools.cache
def is_installed() -> bool:
    return importlib.util.find_spec("pillow_heif") is not None


@functools.cache
def formats() -> tuple[str]:
    """Register the format, without thumbnails and depth maps, and return Pillow's name of it."""
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    return ("HEIF",)

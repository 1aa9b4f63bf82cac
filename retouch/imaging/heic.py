"""HEIC files, which pillow-heif decodes where it is installed."""

from __future__ import annotations

import functools
import importlib.util


@functools.cache
def is_installed() -> bool:
    return importlib.util.find_spec("pillow_heif") is not None


@functools.cache
def formats() -> tuple[str]:
    """Pillow's name of the format, of which it is told now; thumbnails and depth maps are left
    out."""
    import pillow_heif

    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)
    return ("HEIF",)

"""The text encoder of FLUX.2 klein with cached references is FLUX.2 klein's."""

from __future__ import annotations

from retouch.families.flux2_klein.text import TextEncoder

__all__ = ["TextEncoder"]

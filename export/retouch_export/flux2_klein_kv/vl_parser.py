"""The model `vl_parser` of FLUX.2 klein with cached references is FLUX.2 klein's."""

from __future__ import annotations

from retouch_export.flux2_klein.vl_parser import PART

__all__ = ["PART"]

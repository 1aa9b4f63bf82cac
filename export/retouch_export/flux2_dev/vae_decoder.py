"""The model `vae_decoder` of FLUX.2 dev is FLUX.2 klein's."""

from __future__ import annotations

from retouch_export.flux2_klein.vae_decoder import PART

__all__ = ["PART"]

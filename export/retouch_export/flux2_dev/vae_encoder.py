"""The model `vae_encoder` of FLUX.2 dev is FLUX.2 klein's."""

from __future__ import annotations

from retouch_export.flux2_klein.vae_encoder import PART

__all__ = ["PART"]

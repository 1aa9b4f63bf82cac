"""The decoder of an AutoencoderKL, as InstructX has it."""

from __future__ import annotations

from retouch_export.instructx.vae_decoder import PART

__all__ = ["PART"]

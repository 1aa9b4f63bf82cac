"""The encoder of an AutoencoderKL, as InstructX has it."""

from __future__ import annotations

from retouch_export.instructx.vae_encoder import PART

__all__ = ["PART"]

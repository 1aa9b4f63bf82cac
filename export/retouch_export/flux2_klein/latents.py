"""FLUX.2's latents: a patch of two by two is a token, and a token is a cell."""

from __future__ import annotations

from retouch.api.geometry import CELL
from retouch.networks.autoencoder_flux2 import PATCH
from retouch_export.checkpoint import Checkpoint
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.instructx.vae_decoder import vae_factor


def factor(checkpoint: Checkpoint) -> int:
    """Pixels of a token in each direction; CheckpointError when a token is no cell."""
    pixels = PATCH * vae_factor(checkpoint.json("vae/config.json"))
    if pixels != CELL:
        raise CheckpointError(
            f"a token of the checkpoint covers {pixels} pixels in each direction; it must be {CELL}"
        )
    return pixels

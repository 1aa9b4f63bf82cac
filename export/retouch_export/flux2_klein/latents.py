"""FLUX.2's latents: patches of two by two, normalised by the autoencoder's batch norm. A patch is a
token."""

from __future__ import annotations

from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2
from torch import Tensor

from retouch.api.geometry import CELL
from retouch_export.checkpoint import Checkpoint
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.instructx.vae_decoder import vae_factor

PATCH = 2  # latents of a token in each direction


def factor(checkpoint: Checkpoint) -> int:
    """Pixels of a token in each direction; CheckpointError when a token is no cell."""
    pixels = PATCH * vae_factor(checkpoint.json("vae/config.json"))
    if pixels != CELL:
        raise CheckpointError(
            f"a token of the checkpoint covers {pixels} pixels in each direction; it must be {CELL}"
        )
    return pixels


def mean_and_std(vae: AutoencoderKLFlux2) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of every channel of a patch, both [1, 4C, 1, 1]."""
    mean = vae.bn.get_buffer("running_mean").view(1, -1, 1, 1)
    variance = vae.bn.get_buffer("running_var").view(1, -1, 1, 1)
    return mean, (variance + vae.config["batch_norm_eps"]).sqrt()

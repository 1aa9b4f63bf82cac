"""FLUX.2's latents: patches of two by two, one a token, normalised by the autoencoder's batch
norm."""

from __future__ import annotations

from diffusers import AutoencoderKLFlux2
from torch import Tensor

from retouch.api.request import CELL
from retouch_export.checkpoint import Checkpoint
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.instructx.vae_decoder import vae_factor

PATCH = 2  # latents of a token in each direction


def factor(checkpoint: Checkpoint) -> int:
    """Pixels of a token in each direction; CheckpointError when it is no cell of ours."""
    pixels = PATCH * vae_factor(checkpoint.json("vae/config.json"))
    if pixels != CELL:
        raise CheckpointError(
            f"a token of the checkpoint covers {pixels} pixels in each direction; it must be {CELL}"
        )
    return pixels


def mean_and_std(vae: AutoencoderKLFlux2) -> tuple[Tensor, Tensor]:
    """Of every channel of a patch, [1, 4C, 1, 1]."""
    mean, variance = (each.view(1, -1, 1, 1) for each in (vae.bn.running_mean, vae.bn.running_var))
    return mean, (variance + vae.config.batch_norm_eps).sqrt()

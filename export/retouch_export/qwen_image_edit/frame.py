"""Qwen-Image-Edit's autoencoder for a single image, from a checkpoint."""

from __future__ import annotations

from diffusers.models.autoencoders.autoencoder_kl_qwenimage import AutoencoderKLQwenImage

from retouch.networks.autoencoder_qwen_image import for_one_frame
from retouch_export.checkpoint import Checkpoint


def load(checkpoint: Checkpoint) -> AutoencoderKLQwenImage:
    """The checkpoint's autoencoder, with convolutions in space alone."""
    return for_one_frame(checkpoint.load(AutoencoderKLQwenImage, "vae"))


def factor(config: dict) -> int:
    """Pixels of a latent in each direction, by the autoencoder's config."""
    return 2 ** len(config["temperal_downsample"])

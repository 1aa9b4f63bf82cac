"""The model `vae_encoder` of Qwen-Image 2.1: pixels to the normalised mode of the posterior."""

from __future__ import annotations

from typing import Any

from diffusers.models.autoencoders.autoencoder_kl_qwenimage21 import AutoencoderKLQwenImage21

from retouch.networks import vae_encoder
from retouch.networks.autoencoder_qwen_image_21 import CHANNELS, FACTOR, Encoder
from retouch_export.checkpoint import Checkpoint
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.graph import Graph
from retouch_export.instructx.vae_encoder import encoding
from retouch_export.parts import Part


def load(checkpoint: Checkpoint) -> AutoencoderKLQwenImage21:
    """The checkpoint's autoencoder; CheckpointError when it has other channels or another factor
    than Qwen-Image 2.1's."""
    config = checkpoint.json("vae/config.json")
    channels = config.get("in_channels", 4), config.get("out_channels", 4)
    levels = len(config.get("dim_mult", (1, 2, 4, 8, 8)))
    if channels != (CHANNELS, CHANNELS) or 2 ** (levels - 1) != FACTOR or config.get("patch_size"):
        raise CheckpointError(
            f"the checkpoint's autoencoder must take and make {CHANNELS} channels, and 1 latent "
            f"for {FACTOR} pixels in each direction"
        )
    return checkpoint.load(AutoencoderKLQwenImage21, "vae")


class VaeEncoder(Part):
    """The encoder's only graph, `model`."""

    passes = vae_encoder.__name__
    networks = {"vae": AutoencoderKLQwenImage21}

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        return encoding(Encoder(load(checkpoint)), CHANNELS)

    def settings(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """Channels of the pixels, the last of which is opacity."""
        return {"channels": CHANNELS}


PART = VaeEncoder()

"""The model `vae_decoder` of Qwen-Image 2.1: normalised latents to pixels with opacity."""

from __future__ import annotations

from typing import Any

from diffusers.models.autoencoders.autoencoder_kl_qwenimage21 import AutoencoderKLQwenImage21

from retouch.networks import vae_decoder
from retouch.networks.autoencoder_qwen_image_21 import FACTOR, Decoder
from retouch_export.checkpoint import Checkpoint
from retouch_export.graph import Graph
from retouch_export.instructx.vae_decoder import decoding
from retouch_export.parts import Part
from retouch_export.qwen_image_21.vae_encoder import load


class VaeDecoder(Part):
    """The decoder's only graph, `model`."""

    passes = vae_decoder.__name__
    networks = {"vae": AutoencoderKLQwenImage21}

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        vae = load(checkpoint)
        return decoding(Decoder(vae), vae.config["z_dim"], FACTOR)

    def settings(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """Pixels of a latent in each direction, for decoding in tiles."""
        return {"factor": FACTOR}


PART = VaeDecoder()

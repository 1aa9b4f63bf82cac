"""The model `vae_decoder` of Qwen-Image-Edit: normalised latents to pixels."""

from __future__ import annotations

from typing import Any

from diffusers.models.autoencoders.autoencoder_kl_qwenimage import AutoencoderKLQwenImage

from retouch.networks import vae_decoder
from retouch.networks.autoencoder_qwen_image import Decoder
from retouch_export.checkpoint import Checkpoint
from retouch_export.graph import Graph
from retouch_export.instructx.vae_decoder import decoding
from retouch_export.parts import Part
from retouch_export.qwen_image_edit.frame import factor, load


class VaeDecoder(Part):
    """The decoder's only graph, `model`."""

    passes = vae_decoder.__name__
    networks = {"vae": AutoencoderKLQwenImage}

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        vae = load(checkpoint)
        return decoding(Decoder(vae), vae.config["z_dim"], factor(vae.config))

    def settings(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """Pixels of a latent in each direction, for decoding in tiles."""
        return {"factor": factor(checkpoint.json("vae/config.json"))}


PART = VaeDecoder()

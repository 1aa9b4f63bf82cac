"""The model `vae_encoder` of Qwen-Image-Edit: pixels to the normalised mode of the posterior."""

from __future__ import annotations

from diffusers.models.autoencoders.autoencoder_kl_qwenimage import AutoencoderKLQwenImage

from retouch.networks import vae_encoder
from retouch.networks.autoencoder_qwen_image import Encoder
from retouch_export.checkpoint import Checkpoint
from retouch_export.graph import Graph
from retouch_export.instructx.vae_encoder import encoding
from retouch_export.parts import Part
from retouch_export.qwen_image_edit.frame import load


class VaeEncoder(Part):
    """The encoder's only graph, `model`."""

    passes = vae_encoder.__name__
    networks = {"vae": AutoencoderKLQwenImage}

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        return encoding(Encoder(load(checkpoint)))


PART = VaeEncoder()

"""The model `vae_encoder` of FLUX.2 klein: pixels to normalised patches of the posterior's mode.
A patch is a token."""

from __future__ import annotations

from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2

from retouch.networks import vae_encoder
from retouch.networks.autoencoder_flux2 import Encoder
from retouch_export.checkpoint import Checkpoint
from retouch_export.flux2_klein.latents import factor
from retouch_export.graph import Graph
from retouch_export.instructx.vae_encoder import encoding
from retouch_export.parts import Part


class VaeEncoder(Part):
    """The encoder's only graph, `model`."""

    passes = vae_encoder.__name__
    networks = {"vae": AutoencoderKLFlux2}

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        factor(checkpoint)  # refuses a token of another size before anything is exported
        return encoding(Encoder(checkpoint.load(AutoencoderKLFlux2, "vae")))


PART = VaeEncoder()

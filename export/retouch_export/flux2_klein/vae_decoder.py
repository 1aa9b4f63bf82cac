"""The model `vae_decoder` of FLUX.2 klein: normalised patches of latents to pixels."""

from __future__ import annotations

from typing import Any

from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2

from retouch.networks import vae_decoder
from retouch.networks.autoencoder_flux2 import PATCH, Decoder
from retouch_export.checkpoint import Checkpoint
from retouch_export.flux2_klein.latents import factor
from retouch_export.graph import Graph
from retouch_export.instructx.vae_decoder import decoding
from retouch_export.parts import Part


class VaeDecoder(Part):
    """The decoder's only graph, `model`."""

    passes = vae_decoder.__name__
    networks = {"vae": AutoencoderKLFlux2}

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        vae = checkpoint.load(AutoencoderKLFlux2, "vae")
        return decoding(Decoder(vae), vae.config.latent_channels * PATCH**2, factor(checkpoint))

    def settings(self, checkpoint: Checkpoint) -> dict[str, Any]:
        """Pixels of a token in each direction, for decoding in tiles."""
        return {"factor": factor(checkpoint)}


PART = VaeDecoder()

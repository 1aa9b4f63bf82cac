"""The model `vae_decoder` of Qwen-Image-Edit: normalised latents to pixels."""

from __future__ import annotations

from diffusers.models.autoencoders.autoencoder_kl_qwenimage import AutoencoderKLQwenImage
from torch import Tensor, nn

from retouch_export.checkpoint import Checkpoint
from retouch_export.graph import Graph
from retouch_export.instructx.vae_decoder import decoding
from retouch_export.parts import Part
from retouch_export.qwen_image_edit.frame import Normal, factor, load


class Decoder(nn.Module):
    """Latents [B, C, h, w] → pixels [B, 3, H, W] in −1..1."""

    def __init__(self, vae: AutoencoderKLQwenImage):
        super().__init__()
        self.decoder = vae.decoder
        self.quant = vae.post_quant_conv
        self.normal = Normal(vae)

    def forward(self, latents: Tensor) -> Tensor:
        return (
            self.decoder(self.quant(self.normal.inverse(latents).unsqueeze(2)))
            .squeeze(2)
            .clamp(-1, 1)
        )


class VaeDecoder(Part):
    """The decoder's only graph, `model`."""

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        vae = load(checkpoint)
        return decoding(Decoder(vae), vae.config["z_dim"], factor(vae.config))


PART = VaeDecoder()

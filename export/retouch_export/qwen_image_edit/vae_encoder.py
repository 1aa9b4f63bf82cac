"""The model `vae_encoder` of Qwen-Image-Edit: pixels to the normalised mode of the posterior."""

from __future__ import annotations

from diffusers.models.autoencoders.autoencoder_kl_qwenimage import AutoencoderKLQwenImage
from torch import Tensor, nn

from retouch_export.checkpoint import Checkpoint
from retouch_export.graph import Graph
from retouch_export.instructx.vae_encoder import encoding
from retouch_export.parts import Part
from retouch_export.qwen_image_edit.frame import Normal, load


class Encoder(nn.Module):
    """Pixels [B, 3, H, W] in −1..1 → latents [B, C, h, w]."""

    def __init__(self, vae: AutoencoderKLQwenImage):
        super().__init__()
        self.encoder = vae.encoder
        self.quant = vae.quant_conv
        self.normal = Normal(vae)

    def forward(self, pixels: Tensor) -> Tensor:
        mode, _ = self.quant(self.encoder(pixels.unsqueeze(2))).chunk(2, 1)
        return self.normal(mode.squeeze(2))


class VaeEncoder(Part):
    """The encoder's only graph, `model`."""

    def graphs(self, checkpoint: Checkpoint, outline: bool = False) -> list[Graph]:
        return encoding(Encoder(load(checkpoint)))


PART = VaeEncoder()

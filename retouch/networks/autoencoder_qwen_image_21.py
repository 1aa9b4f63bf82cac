"""AutoencoderKLQwenImage21 for a single image.

The network has four channels, of which the last is opacity. An image is the first frame of a video:
without a cache of features, nothing is resampled in time."""

from __future__ import annotations

from diffusers.models.autoencoders.autoencoder_kl_qwenimage21 import AutoencoderKLQwenImage21
from torch import Tensor, nn

from retouch.networks.autoencoder_qwen_image import Normal

FACTOR = 16  # pixels of a latent in each direction
CHANNELS = 4  # red, green, blue and opacity


class Encoder(nn.Module):
    """Pixels [B, 4, H, W] in −1..1 → latents [B, C, h, w]."""

    outputs = ("latents",)

    def __init__(self, vae: AutoencoderKLQwenImage21):
        super().__init__()
        self.encoder = vae.encoder
        self.quant = vae.quant_conv
        self.normal = Normal(vae)

    def forward(self, pixels: Tensor) -> Tensor:
        typed = pixels.to(self.quant.weight.dtype).unsqueeze(2)
        mode, _ = self.quant(self.encoder(typed)).chunk(2, 1)
        return self.normal(mode.squeeze(2).float())


class Decoder(nn.Module):
    """Latents [B, C, h, w] → pixels [B, 4, H, W] in −1..1."""

    outputs = ("pixels",)

    def __init__(self, vae: AutoencoderKLQwenImage21):
        super().__init__()
        self.decoder = vae.decoder
        self.quant = vae.post_quant_conv
        self.normal = Normal(vae)

    def forward(self, latents: Tensor) -> Tensor:
        typed = self.normal.inverse(latents).to(self.quant.weight.dtype).unsqueeze(2)
        return self.decoder(self.quant(typed), first_chunk=True).squeeze(2).float().clamp(-1, 1)

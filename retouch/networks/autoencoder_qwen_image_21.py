"""AutoencoderKLQwenImage21 for a single image without transparency.

The network has four channels, of which the last is opacity. An image is encoded as opaque. A
decoded one lies on white, as the pipeline shows transparent photos to its text encoder. An image is
the first frame of a video: without a cache of features, nothing is resampled in time."""

from __future__ import annotations

import torch
from diffusers.models.autoencoders.autoencoder_kl_qwenimage21 import AutoencoderKLQwenImage21
from torch import Tensor, nn

from retouch.networks.autoencoder_qwen_image import Normal

FACTOR = 16  # pixels of a latent in each direction


class Encoder(nn.Module):
    """Pixels [B, 3, H, W] in −1..1 → latents [B, C, h, w]."""

    outputs = ("latents",)

    def __init__(self, vae: AutoencoderKLQwenImage21):
        super().__init__()
        self.encoder = vae.encoder
        self.quant = vae.quant_conv
        self.normal = Normal(vae)

    def forward(self, pixels: Tensor) -> Tensor:
        opaque = torch.cat([pixels, torch.ones_like(pixels[:, :1])], 1)
        typed = opaque.to(self.quant.weight.dtype).unsqueeze(2)
        mode, _ = self.quant(self.encoder(typed)).chunk(2, 1)
        return self.normal(mode.squeeze(2).float())


class Decoder(nn.Module):
    """Latents [B, C, h, w] → pixels [B, 3, H, W] in −1..1 on white."""

    outputs = ("pixels",)

    def __init__(self, vae: AutoencoderKLQwenImage21):
        super().__init__()
        self.decoder = vae.decoder
        self.quant = vae.post_quant_conv
        self.normal = Normal(vae)

    def forward(self, latents: Tensor) -> Tensor:
        typed = self.normal.inverse(latents).to(self.quant.weight.dtype).unsqueeze(2)
        decoded = self.decoder(self.quant(typed), first_chunk=True).squeeze(2).float().clamp(-1, 1)
        colours, opacity = decoded.split((3, 1), 1)
        share = (opacity + 1) / 2
        return colours * share + (1 - share)

"""AutoencoderKLQwenImage for a single image, as the first frame of a video.

Causal convolutions see zeros for earlier frames, so only the last of their three slices in time has
an effect: each is replaced by a convolution in space. Resampling in time does nothing.

The network computes in its own type, and the normalisation in float32."""

from __future__ import annotations

from typing import cast

import torch
from diffusers.models.autoencoders.autoencoder_kl_qwenimage import (
    AutoencoderKLQwenImage,
    QwenImageCausalConv3d,
)
from diffusers.models.autoencoders.autoencoder_kl_qwenimage21 import AutoencoderKLQwenImage21
from torch import Tensor, nn


class Encoder(nn.Module):
    """Pixels [B, 3, H, W] in −1..1 → latents [B, C, h, w]. The autoencoder is one of
    `for_one_frame`."""

    outputs = ("latents",)

    def __init__(self, vae: AutoencoderKLQwenImage):
        super().__init__()
        self.encoder = vae.encoder
        self.quant = vae.quant_conv
        self.normal = Normal(vae)

    def forward(self, pixels: Tensor) -> Tensor:
        typed = pixels.to(_dtype(self.quant)).unsqueeze(2)
        mode, _ = self.quant(self.encoder(typed)).chunk(2, 1)
        return self.normal(mode.squeeze(2).float())


class Decoder(nn.Module):
    """Latents [B, C, h, w] → pixels [B, 3, H, W] in −1..1. The autoencoder is one of
    `for_one_frame`."""

    outputs = ("pixels",)

    def __init__(self, vae: AutoencoderKLQwenImage):
        super().__init__()
        self.decoder = vae.decoder
        self.quant = vae.post_quant_conv
        self.normal = Normal(vae)

    def forward(self, latents: Tensor) -> Tensor:
        typed = self.normal.inverse(latents).to(_dtype(self.quant)).unsqueeze(2)
        return self.decoder(self.quant(typed)).squeeze(2).float().clamp(-1, 1)


class FrameConv(nn.Module):
    """A causal convolution of one frame [B, C, 1, H, W]."""

    def __init__(self, causal: QwenImageCausalConv3d):
        super().__init__()
        left, _, top, *_ = cast("tuple[int, ...]", causal._padding)
        size = causal.kernel_size
        stride = causal.stride
        self.conv = nn.Conv2d(
            causal.in_channels,
            causal.out_channels,
            (size[1], size[2]),
            (stride[1], stride[2]),
            (top, left),
            device=causal.weight.device,
            dtype=causal.weight.dtype,
        )
        self.conv.load_state_dict({"weight": causal.weight[:, :, -1], "bias": causal.bias})

    def forward(self, x: Tensor, cache_x: None = None) -> Tensor:
        return self.conv(x.squeeze(2)).unsqueeze(2)


class Normal(nn.Module):
    """Latents [B, C, h, w] normalised by mean and standard deviation of every channel, as the
    transformer takes them."""

    mean: Tensor
    std: Tensor

    def __init__(self, vae: AutoencoderKLQwenImage | AutoencoderKLQwenImage21):
        super().__init__()
        device = vae.device
        for name in ("mean", "std"):
            numbers = torch.tensor(vae.config[f"latents_{name}"], device=device)
            self.register_buffer(name, numbers[:, None, None])

    def forward(self, latents: Tensor) -> Tensor:
        return (latents - self.mean) / self.std

    def inverse(self, latents: Tensor) -> Tensor:
        return latents * self.std + self.mean


def for_one_frame(vae: AutoencoderKLQwenImage) -> AutoencoderKLQwenImage:
    """The autoencoder itself, its convolutions replaced by such in space alone."""
    for name, module in list(vae.named_modules()):
        if isinstance(module, QwenImageCausalConv3d):
            vae.set_submodule(name, FrameConv(module))
    return vae.eval().requires_grad_(False)


def _dtype(quant: nn.Module) -> torch.dtype:
    return next(quant.parameters()).dtype

"""AutoencoderKLQwenImage for a single image, as the first frame of a video.

Causal convolutions see zeros for earlier frames, so only the last of their three slices in time has
an effect: each is replaced by a convolution in space. Resampling in time does nothing."""

from __future__ import annotations

from typing import cast

from diffusers.models.autoencoders.autoencoder_kl_qwenimage import (
    AutoencoderKLQwenImage,
    QwenImageCausalConv3d,
)
from torch import Tensor, nn

from retouch_export.checkpoint import Checkpoint


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
        )
        self.conv.load_state_dict({"weight": causal.weight[:, :, -1], "bias": causal.bias})

    def forward(self, x: Tensor, cache_x: None = None) -> Tensor:
        return self.conv(x.squeeze(2)).unsqueeze(2)


def load(checkpoint: Checkpoint) -> AutoencoderKLQwenImage:
    """The checkpoint's autoencoder, with convolutions in space alone."""
    vae = checkpoint.load(AutoencoderKLQwenImage, "vae")
    for name, module in list(vae.named_modules()):
        if isinstance(module, QwenImageCausalConv3d):
            vae.set_submodule(name, FrameConv(module))
    return vae.eval().requires_grad_(False)


class Normal(nn.Module):
    """Latents [B, C, h, w] normalised by mean and standard deviation of every channel, as the
    transformer takes them."""

    mean: Tensor
    std: Tensor

    def __init__(self, vae: AutoencoderKLQwenImage):
        super().__init__()
        weight = vae.quant_conv.get_parameter("conv.weight")
        for name in ("mean", "std"):
            numbers = vae.config[f"latents_{name}"]
            self.register_buffer(name, weight.new_tensor(numbers)[:, None, None])

    def forward(self, latents: Tensor) -> Tensor:
        return (latents - self.mean) / self.std

    def inverse(self, latents: Tensor) -> Tensor:
        return latents * self.std + self.mean


def factor(config: dict) -> int:
    """Pixels of a latent in each direction, by the autoencoder's config."""
    return 2 ** len(config["temperal_downsample"])

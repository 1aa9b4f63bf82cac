"""AutoencoderKLQwenImage for a single image: a video's first frame, before which there is nothing.

Its causal convolutions see zeros for the frames before, so of their three slices in time only the
last counts, and what resamples time has nothing to do. A convolution in space is left of each."""

from __future__ import annotations

from diffusers import AutoencoderKLQwenImage
from diffusers.models.autoencoders.autoencoder_kl_qwenimage import QwenImageCausalConv3d
from torch import Tensor, nn

from retouch_export.checkpoint import Checkpoint


class FrameConv(nn.Module):
    """A causal convolution of one frame [B, C, 1, H, W]."""

    def __init__(self, causal: QwenImageCausalConv3d):
        super().__init__()
        left, _, top, *_ = causal._padding
        self.conv = nn.Conv2d(
            causal.in_channels,
            causal.out_channels,
            causal.kernel_size[1:],
            causal.stride[1:],
            (top, left),
        )
        self.conv.load_state_dict({"weight": causal.weight[:, :, -1], "bias": causal.bias})

    def forward(self, x: Tensor, cache_x: None = None) -> Tensor:
        return self.conv(x.squeeze(2)).unsqueeze(2)


def load(checkpoint: Checkpoint) -> AutoencoderKLQwenImage:
    """The checkpoint's, with convolutions in space alone."""
    vae = checkpoint.load(AutoencoderKLQwenImage, "vae")
    for name, module in list(vae.named_modules()):
        if isinstance(module, QwenImageCausalConv3d):
            vae.set_submodule(name, FrameConv(module))
    return vae.eval().requires_grad_(False)


class Normal(nn.Module):
    """A channel's numbers less their mean, over their spread: what the transformer takes for
    latents."""

    def __init__(self, vae: AutoencoderKLQwenImage):
        super().__init__()
        for name, numbers in (("mean", vae.config.latents_mean), ("std", vae.config.latents_std)):
            self.register_buffer(
                name, vae.quant_conv.conv.weight.new_tensor(numbers)[:, None, None]
            )

    def forward(self, latents: Tensor) -> Tensor:
        return (latents - self.mean) / self.std

    def inverse(self, latents: Tensor) -> Tensor:
        return latents * self.std + self.mean


def factor(config: dict) -> int:
    """How many pixels one latent covers in each direction."""
    return 2 ** len(config["temperal_downsample"])

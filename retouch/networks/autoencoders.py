"""The modules of an autoencoder, by its class."""

from __future__ import annotations

from types import ModuleType

from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.autoencoders.autoencoder_kl_flux2 import AutoencoderKLFlux2
from diffusers.models.autoencoders.autoencoder_kl_qwenimage import AutoencoderKLQwenImage
from diffusers.models.autoencoders.autoencoder_kl_qwenimage21 import AutoencoderKLQwenImage21
from torch import nn

from retouch.networks import (
    autoencoder_flux2,
    autoencoder_kl,
    autoencoder_qwen_image,
    autoencoder_qwen_image_21,
)


def modules_of(vae: nn.Module) -> tuple[ModuleType, nn.Module]:
    """The Python module with an autoencoder's classes `Encoder` and `Decoder`, and the network that
    they take."""
    if isinstance(vae, AutoencoderKLQwenImage):
        return autoencoder_qwen_image, autoencoder_qwen_image.for_one_frame(vae)
    if isinstance(vae, AutoencoderKLQwenImage21):
        return autoencoder_qwen_image_21, vae
    if isinstance(vae, AutoencoderKLFlux2):
        return autoencoder_flux2, vae
    assert isinstance(vae, AutoencoderKL)
    return autoencoder_kl, vae

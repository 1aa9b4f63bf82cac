"""The module of the stage `vae_decoder`."""

from __future__ import annotations

from typing import Any

from torch import nn

from retouch.networks.autoencoders import modules_of


def decoder(networks: dict[str, Any], settings: dict[str, Any]) -> nn.Module:
    """Normalised latents → pixels [B, 3, H, W] in −1..1, of the network `vae`."""
    modules, vae = modules_of(networks["vae"])
    return modules.Decoder(vae)


PASSES = {"model": decoder}

"""The module of the stage `vae_encoder`."""

from __future__ import annotations

from typing import Any

from torch import nn

from retouch.networks.autoencoders import modules_of


def encoder(networks: dict[str, Any], settings: dict[str, Any]) -> nn.Module:
    """Pixels [B, 3, H, W] in −1..1 → normalised latents, of the network `vae`."""
    modules, vae = modules_of(networks["vae"])
    return modules.Encoder(vae)


PASSES = {"model": encoder}

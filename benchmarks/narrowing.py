"""Narrow layers in a torch module with random weights, with scales as the export sets them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from benchmarks.nvfp4_linear import Nvfp4Linear
from retouch.networks.fp8_linear import Fp8Linear, to_fp8
from retouch_export.policy import TRANSFORMER, Policy, Tier, tiers
from retouch_export.recipe import Recipe
from retouch_export.scales import fp8_scale


def narrow(
    network: nn.Module,
    run: Callable[[], object],
    policy: Policy = TRANSFORMER,
    precision: str = "fp8",
) -> int:
    """Replace every linear layer that the lane `precision` narrows; returns their number.

    `run` is one run of the network, by which the ranges of activations are measured. `policy` is
    the stage's. NVFP4 is for measuring errors: it is not multiplied as such."""
    linear = {
        name: layer for name, layer in network.named_modules() if isinstance(layer, nn.Linear)
    }
    tier_of = tiers(linear, precision, Recipe().tail, policy)
    layers = {name: layer for name, layer in linear.items() if tier_of[name] is not Tier.BF16}
    largest = _measured(layers, run)
    scales = {id(amax): _scale(amax) for amax in largest.values()}  # one for an activation
    for name, amax in largest.items():  # a layer that no run reaches stays as it is
        layer = layers[name]
        if tier_of[name] is Tier.FP8:
            unit = _scale(layer.weight.abs().max())
            weight = to_fp8(layer.weight, unit)
            network.set_submodule(name, Fp8Linear(weight, unit, scales[id(amax)], layer.bias))
        else:
            network.set_submodule(name, Nvfp4Linear(layer, amax.item()))
    return len(largest)


def _measured(layers: dict[str, nn.Linear], run: Callable[[], object]) -> dict[str, Tensor]:
    """The largest absolute value of each layer's input; the same tensor for layers that read the
    same activation."""
    largest: dict[str, Tensor] = {}
    known = WeakTensorKeyDictionary()

    def observer(name: str):
        def observe(_: nn.Module, entering: tuple[Tensor]) -> None:
            if entering[0] not in known:
                known[entering[0]] = entering[0].abs().max()
            largest[name] = known[entering[0]]

        return observe

    hooks = [layer.register_forward_pre_hook(observer(name)) for name, layer in layers.items()]
    run()
    for hook in hooks:
        hook.remove()
    return largest


def _scale(largest: Tensor) -> Tensor:
    return torch.tensor(fp8_scale(largest.item()), device=largest.device)

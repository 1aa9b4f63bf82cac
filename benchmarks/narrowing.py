"""FP8 layers in a torch module with random weights, with scales as the export sets them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

from retouch.networks.fp8_linear import Fp8Linear, to_fp8
from retouch_export.policy import TRANSFORMER, Policy, Tier, tier_of
from retouch_export.scales import fp8_scale


def narrow(network: nn.Module, run: Callable[[], object], policy: Policy = TRANSFORMER) -> int:
    """Replace every linear layer that the lane fp8 narrows; returns their number.

    `run` is one run of the network, by which the ranges of activations are measured. `policy` is
    the stage's."""
    layers = {
        name: layer
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear) and tier_of(name, "fp8", policy) is Tier.FP8
    }
    scales = _measured(layers, run)
    for name, layer in layers.items():
        if name in scales:  # a layer that no run reaches stays as it is
            unit = _scale(layer.weight)
            weight = to_fp8(layer.weight, unit)
            network.set_submodule(name, Fp8Linear(weight, unit, scales[name], layer.bias))
    return len(scales)


def _measured(layers: dict[str, nn.Linear], run: Callable[[], object]) -> dict[str, Tensor]:
    """The scale of each layer's input; the same tensor for layers that read the same activation."""
    scales: dict[str, Tensor] = {}
    known = WeakTensorKeyDictionary()

    def observer(name: str):
        def observe(_: nn.Module, entering: tuple[Tensor]) -> None:
            if entering[0] not in known:
                known[entering[0]] = _scale(entering[0])
            scales[name] = known[entering[0]]

        return observe

    hooks = [layer.register_forward_pre_hook(observer(name)) for name, layer in layers.items()]
    run()
    for hook in hooks:
        hook.remove()
    return scales


def _scale(numbers: Tensor) -> Tensor:
    return torch.tensor(fp8_scale(numbers.abs().max().item()), device=numbers.device)

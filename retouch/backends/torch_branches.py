"""Low-rank branches beside the linear layers of a torch module: y = x W + (x down) up.

A branch is a hook on its layer, so the module's parameters and their names stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from retouch.artifacts.adapter_folder import DOWN, UP
from retouch.artifacts.onnx_scopes import ROOT
from retouch.networks.fp8_linear import Fp8Linear


class Branches:
    """The branches of a module, without effect outside of `using`."""

    def __init__(self, module: nn.Module):
        self._matrices: dict[str, Tensor] = {}
        for name, layer in module.named_modules():
            if isinstance(layer, (nn.Linear, Fp8Linear)):
                layer.register_forward_hook(self._hook(name.removeprefix(ROOT)))

    @contextmanager
    def using(self, matrices: dict[str, Tensor]) -> Iterator[None]:
        """Runs of the module inside a `with` block have the adapter of these matrices."""
        self._matrices = matrices
        try:
            yield
        finally:
            self._matrices = {}

    def _hook(self, module: str) -> Callable[..., Tensor]:
        def add(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
            down = self._matrices.get(module + DOWN)
            if down is None:
                return output
            change = inputs[0].to(down.dtype) @ down @ self._matrices[module + UP]
            return output + change.to(output.dtype)

        return add


def forget_compiled() -> None:
    """Let torch compile anew: it does not notice a hook that a compiled module gets."""
    torch._dynamo.reset()

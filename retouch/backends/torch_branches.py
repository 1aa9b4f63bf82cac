"""Low-rank branches beside the linear layers of a torch module: y = x W + (x down) up.

A branch is a hook on its layer, so the module's parameters and their names stay as they are. A
compiled module is compiled for every set of layers and ranks that it meets. There all layers have a
branch, of one of few ranks, so that adapters share what is compiled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retouch.artifacts.adapter_folder import DOWN, UP
from retouch.artifacts.onnx_scopes import ROOT
from retouch.networks.fp8_linear import Fp8Linear

LEAST_RANK = 16  # of a compiled branch; the others are its doubles

Tensors = dict[str, Tensor]


class Branches:
    """The branches of a module, without effect outside of `using`."""

    def __init__(self, module: nn.Module):
        self._matrices: Tensors = {}
        self._zeros: Tensors = {}
        self._shapes: dict[str, tuple[int, int]] = {}
        for name, layer in module.named_modules():
            if isinstance(layer, (nn.Linear, Fp8Linear)):
                self._shapes[name.removeprefix(ROOT)] = _shape(layer)
                layer.register_forward_hook(self._hook(name.removeprefix(ROOT)))

    @contextmanager
    def using(self, matrices: Tensors) -> Iterator[None]:
        """Runs of the module inside a `with` block have the adapter of these matrices."""
        self._matrices = matrices
        try:
            yield
        finally:
            self._matrices = {}

    def completed(self, matrices: Tensors) -> Tensors:
        """Matrices of one rank for all layers: zeros for those that the adapter does not change."""
        if not matrices:
            return {}
        first = next(matrix for name, matrix in matrices.items() if name.endswith(UP))
        rank = len(first)
        if any(len(zeros) != rank for name, zeros in self._zeros.items() if name.endswith(UP)):
            self._zeros = {}
        complete = {}
        for module, (columns, rows) in self._shapes.items():
            for name, shape in ((module + DOWN, (columns, rank)), (module + UP, (rank, rows))):
                if name not in matrices and name not in self._zeros:
                    self._zeros[name] = first.new_zeros(shape)
                complete[name] = matrices[name] if name in matrices else self._zeros[name]
        return complete

    def _hook(self, module: str) -> Callable[..., Tensor]:
        def add(layer: nn.Module, inputs: tuple[Tensor], output: Tensor) -> Tensor:
            down = self._matrices.get(module + DOWN)
            if down is None:
                return output
            change = inputs[0].to(down.dtype) @ down @ self._matrices[module + UP]
            return output + change.to(output.dtype)

        return add


def padded(matrices: Mapping[str, Tensor]) -> Tensors:
    """The matrices with zeros up to the next of few ranks, the same for all layers."""
    rank = LEAST_RANK
    while rank < max(len(matrix) for name, matrix in matrices.items() if name.endswith(UP)):
        rank *= 2
    return {
        name: F.pad(matrix, (0, rank - matrix.shape[1]))
        if name.endswith(DOWN)
        else F.pad(matrix, (0, 0, 0, rank - len(matrix)))
        for name, matrix in matrices.items()
    }


def forget_compiled() -> None:
    """Let torch compile anew: it does not notice a hook that a compiled module gets."""
    torch._dynamo.reset()


def _shape(layer: nn.Linear | Fp8Linear) -> tuple[int, int]:
    """Columns and rows of a layer's weight."""
    if isinstance(layer, Fp8Linear):
        return layer.columns, layer.rows
    return layer.in_features, layer.out_features

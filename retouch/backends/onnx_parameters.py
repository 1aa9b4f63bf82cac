"""The parameters and buffers of a graph's torch module, from its exported file.

The exporter keeps them under torch's names and in torch's layout."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch
from onnx_ir import tensor_adapters
from torch import Tensor

from retouch.artifacts.manifest import ArtifactError
from retouch.artifacts.onnx_scopes import scope_of

# after a parameter's name: its E4M3 numbers, their scale, and bfloat16 in a float32 graph
NARROW = "/fp8"
SCALE = "/scale"
STORED = "/stored"


@dataclass(frozen=True)
class Fp8:
    """A layer's weight, E4M3 [out, in], and the scales of its weight and of its input.

    Layers with the same input share the tensor object of its scale.
    """

    weight: Tensor
    weight_scale: Tensor
    scale: Tensor


class Parameters:
    """The tensors of the graph in the file `path`, on `device`."""

    def __init__(self, path: Path, device: torch.device):
        self._graph = ir.load(path).graph
        self._device = device
        self._scales: dict[str, Tensor] = {}

    def unknown(self, known: Collection[str]) -> list[str]:
        """Names of the graph's parameters that are not among `known`, in any form."""
        forms = {name + form for name in known for form in ("", NARROW, SCALE, STORED)}
        modules = tuple({f"{name.partition('.')[0]}." for name in known})
        return [
            name
            for name in self._graph.initializers
            if name.startswith(modules) and name not in forms
        ]

    def has(self, name: str) -> bool:
        """Whether the graph uses the parameter or buffer `name`."""
        return self._value(name) is not None

    def check_unused(self, name: str) -> None:
        """ArtifactError when the graph uses the module of a parameter that it does not have."""
        module, _, leaf = name.rpartition(".")
        if module in self._scopes:
            raise ArtifactError(f"the graph uses {module} without its {leaf}; run the export again")

    def tensor(self, name: str, dtype: torch.dtype | None = None) -> Tensor:
        """The parameter or buffer `name` that the graph `has`, as `dtype` or in its own type."""
        value = self._value(name)
        assert value is not None
        tensor = self._tensor(value)
        return tensor if dtype is None else tensor.to(dtype)

    def narrow(self) -> Iterator[tuple[str, Fp8]]:
        """The layers with E4M3 weights, by module."""
        for node in self._graph:
            wide = _inputs(node)[1].producer() if node.op_type in ("Gemm", "MatMul") else None
            if (
                wide is not None
                and wide.op_type == "DequantizeLinear"
                and _name(_inputs(wide)[0]).endswith(NARROW)
            ):
                yield self._layer(node, wide)

    def _layer(self, node: ir.Node, wide: ir.Node) -> tuple[str, Fp8]:
        value, weight_scale = _inputs(wide)[:2]
        weight = self._tensor(value)
        name = _name(value).removesuffix(f".weight{NARROW}")
        scale = _inputs(_inputs(node)[0].producer())[1]
        if _name(scale) not in self._scales:
            self._scales[_name(scale)] = self._tensor(scale).float()
        turned = weight.t().contiguous() if node.op_type == "MatMul" else weight
        return name, Fp8(turned, self._tensor(weight_scale).float(), self._scales[_name(scale)])

    def _value(self, name: str) -> ir.Value | None:
        initializers = self._graph.initializers
        return initializers.get(name) or initializers.get(name + STORED)

    @cached_property
    def _scopes(self) -> set[str]:
        return {scope_of(node) for node in self._graph}

    def _tensor(self, value: ir.Value) -> Tensor:
        """A copy of the value's numbers, because their file may be replaced."""
        constant = value.const_value
        assert constant is not None  # it is an initializer
        numbers = np.array(constant.numpy())
        bits = torch.from_numpy(numbers.view(f"u{numbers.itemsize}"))
        return bits.view(tensor_adapters.to_torch_dtype(constant.dtype)).to(self._device)


def _inputs(node: ir.Node | None) -> list[ir.Value]:
    """The inputs of a node; an optional one that is left out is missing."""
    return [value for value in node.inputs if value is not None] if node else []


def _name(value: ir.Value) -> str:
    return value.name or ""

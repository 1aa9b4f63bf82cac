"""A network's parameters from its exported graph, with torch's names and shapes.

The exporter keeps large parameters under their names. It may fold small ones (a norm's weight
becomes float32) or share them between layers. These are found at the operation that uses them, by
its module."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch
from onnx_ir import tensor_adapters
from torch import Tensor

from retouch.artifacts.manifest import ArtifactError
from retouch.artifacts.onnx_scopes import ROOT, module_of

# after a parameter's name: its E4M3 numbers, and their scale
NARROW = "/fp8"
SCALE = "/scale"


@dataclass(frozen=True)
class Fp8:
    """A layer's weight, E4M3 [out, in], and the scales of its weight and of its input.

    Layers with the same input share the tensor object of its scale.
    """

    weight: Tensor
    weight_scale: Tensor
    scale: Tensor


class Parameters:
    """The parameters of the network in the file `path`, as tensors on `device`."""

    def __init__(self, path: Path, device: torch.device):
        self._graph = ir.load(path).graph
        self._device = device
        self._scales: dict[str, Tensor] = {}

    def unknown(self, known: set[str]) -> list[str]:
        """Names of the network's parameters in the graph that are not `known`, in any form."""
        forms = {name + form for name in known for form in ("", NARROW, SCALE)}
        names = (
            name.removeprefix(ROOT) for name in self._graph.initializers if name.startswith(ROOT)
        )
        return [name for name in names if name not in forms]

    def wide(self, name: str, like: Tensor) -> Tensor | None:
        """The parameter `name` with the shape and type of `like`; None where the graph does not
        use its module. ArtifactError when the graph lacks it.
        """
        module = name.rpartition(".")[0]
        shape = tuple(like.shape)
        value = self._graph.initializers.get(ROOT + name) or self._used_by(module, shape)
        if value is not None:
            return self._tensor(value).to(like.dtype)
        if module in self._nodes:
            raise ArtifactError(
                f"the graph uses {module} without its {name.rpartition('.')[2]}; "
                "run the export again"
            )
        return None

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
        name = _name(value).removeprefix(ROOT).removesuffix(f".weight{NARROW}")
        scale = _inputs(_inputs(node)[0].producer())[1]
        if _name(scale) not in self._scales:
            self._scales[_name(scale)] = self._tensor(scale).float()
        turned = weight.t().contiguous() if node.op_type == "MatMul" else weight
        return name, Fp8(turned, self._tensor(weight_scale).float(), self._scales[_name(scale)])

    def _used_by(self, module: str, shape: tuple[int, ...]) -> ir.Value | None:
        """A constant of this shape that is an input of an operation of `module`."""
        return next(
            (
                value
                for node in self._nodes.get(module, ())
                for value in _inputs(node)
                if value.is_initializer() and tuple(value.shape or ()) == shape
            ),
            None,
        )

    @cached_property
    def _nodes(self) -> dict[str, list[ir.Node]]:
        nodes: dict[str, list[ir.Node]] = {}
        for node in self._graph:
            nodes.setdefault(module_of(node), []).append(node)
        return nodes

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

"""One torch module that becomes one ONNX graph, with dynamic shapes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

LARGEST = 500_000_000  # parameters that a graph can hold in float32: it has at most 2 GiB


@dataclass(frozen=True)
class Shape:
    """One size of a graph's inputs: height and width in pixels, text and region in tokens."""

    batch: int
    height: int
    width: int
    text: int
    region: int


TRACED = Shape(batch=2, height=128, width=128, text=12, region=20)


@dataclass(frozen=True)
class Graph:
    """`inputs(shape)` makes example inputs by name; `axes` names each input's dynamic dimensions by
    index."""

    name: str
    module: nn.Module
    inputs: Callable[[Shape], dict[str, Tensor]]
    axes: dict[str, dict[int, str]]
    outputs: tuple[str, ...]

    @property
    def file(self) -> str:
        return f"{self.name}.onnx"

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.module.parameters())

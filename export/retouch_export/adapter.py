"""A LoRA adapter and its merge: W' = W + scale · factor · B A.

A weight is merged when it is written: with its change it is a source of numbers like any stored
tensor. So memory does not grow with the checkpoint or the adapter. The sum is computed in float32
and rounded once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from retouch_export.safetensors_index import TensorSource

COMPONENT = "transformer"  # the component that an adapter may change


class HasShape(Protocol):
    """A weight, of which only the shape counts."""

    @property
    def shape(self) -> tuple[int, ...]: ...


class AdapterError(RuntimeError):
    """An adapter that cannot be merged. The message says why in one sentence."""


@dataclass(frozen=True)
class Held:
    """A tensor in memory, as a source of numbers."""

    array: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    def numbers(self) -> np.ndarray:
        return self.array.astype(np.float32)


@dataclass(frozen=True)
class LowRank:
    """The change of one linear layer's weight [out, in]: `factor` · `up` [out, r] · `down` [r,
    in]."""

    down: TensorSource
    up: TensorSource
    factor: float

    @property
    def shape(self) -> tuple[int, ...]:
        return self.up.shape[0], self.down.shape[1]

    def numbers(self) -> np.ndarray:
        return np.float32(self.factor) * (self.up.numbers() @ self.down.numbers())


@dataclass(frozen=True)
class Merged:
    """A weight with an adapter's change."""

    weight: TensorSource
    change: LowRank

    @property
    def shape(self) -> tuple[int, ...]:
        return self.weight.shape

    def numbers(self) -> np.ndarray:
        return self.weight.numbers() + self.change.numbers()


@dataclass(frozen=True)
class Adapter:
    """An adapter for one network. `changes` are by parameter name and include the user's `scale` in
    their factors. `sha256` is that of its files, and `file` the name of the one with its
    weights."""

    component = COMPONENT

    name: str
    scale: float
    sha256: str
    changes: dict[str, LowRank]
    file: str = ""

    def lane(self, precision: str) -> str:
        """The name of the lane with this adapter."""
        return f"{precision}-{self.name}"

    def about(self) -> dict[str, Any]:
        """The adapter's entry in a lane's manifest."""
        return {"name": self.name, "sha256": self.sha256, "scale": self.scale}

    def check(self, weights: Mapping[str, HasShape]) -> None:
        """AdapterError unless every change has a weight of the same shape."""
        for name, change in self.changes.items():
            module = name.removesuffix(".weight")
            if name not in weights:
                raise AdapterError(
                    f"the adapter changes {module}, which this checkpoint's {COMPONENT} does not "
                    "have; it was trained on another network"
                )
            if change.shape != tuple(weights[name].shape):
                raise AdapterError(
                    f"the adapter's change of {module} has shape {list(change.shape)} and the "
                    f"checkpoint's weight {list(weights[name].shape)}; "
                    "it was trained on another network"
                )

    def merged(self, weights: Mapping[str, TensorSource]) -> dict[str, TensorSource]:
        return {
            name: Merged(weight, self.changes[name]) if name in self.changes else weight
            for name, weight in weights.items()
        }

"""What is done with keys and values that are kept: they are joined along the tokens, rounded to FP8
and moved to host memory. A runner whose values stay on its device has a class with these methods;
numpy's arrays are handled here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

LARGEST = 448.0  # of E4M3
TOKENS = 2  # axis of keys and values [1, layers, tokens, heads, head size]
SCALED = (TOKENS, 4)  # a layer's head has one scale


@runtime_checkable
class DeviceValues(Protocol):
    """Keys or values on a device, or what became of them."""

    @property
    def nbytes(self) -> int: ...

    def wide(self) -> Any:
        """The values as the runner takes them, on its device."""

    def in_fp8(self) -> Any:
        """The values in E4M3 with a scale for every layer and head."""

    def on_host(self) -> Any:
        """The same in host memory."""

    def on_device(self) -> Any:
        """The same on the runner's device."""

    def joined(self, others: Sequence[Any]) -> Any:
        """The values with those of `others` after them."""


@dataclass(frozen=True)
class Fp8Array:
    """Values of numpy in E4M3, with scales [1, layers, 1, heads, 1] in float32."""

    values: np.ndarray
    scales: np.ndarray

    @property
    def nbytes(self) -> int:
        return self.values.nbytes + self.scales.nbytes

    def wide(self) -> np.ndarray:
        return self.values.astype(np.float32) * self.scales


def in_fp8(values: Any) -> Any:
    """Values in E4M3; those of a runner that cannot stay as they are."""
    if isinstance(values, DeviceValues):
        return values.in_fp8()
    if not isinstance(values, np.ndarray):
        return values
    import ml_dtypes  # a lane without FP8 needs none

    largest = np.abs(values).max(SCALED, keepdims=True)
    scales = np.where(largest > 0, largest / np.float32(LARGEST), np.float32(1))
    return Fp8Array((values / scales).astype(ml_dtypes.float8_e4m3fn), scales)


def wide(values: Any) -> Any:
    """Values as a runner takes them."""
    return values.wide() if isinstance(values, (DeviceValues, Fp8Array)) else values


def is_movable(values: Any) -> bool:
    """Whether host memory is another place than that of the values."""
    return isinstance(values, DeviceValues)


def joined(parts: Sequence[Any]) -> Any:
    """One array of the tokens of all `parts`, as `wide` makes them; the part itself if there is
    one."""
    first, *others = parts
    if not others:
        return first
    if isinstance(first, DeviceValues):
        return first.joined(others)
    return np.concatenate([np.asarray(part) for part in parts], TOKENS)

"""The result of a calibration: ranges of the activations that enter a lane's narrow layers.

The file is JSON: {graph: {module: largest absolute value}}, of one stage or of several. Products
are many times larger and are not stored. With a file of ranges alone, FP4 weights are rounded
without them (`retouch_export.recipe`)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FILE = "calibration.json"  # in a narrow lane's folder
# sums of xᵀx over tokens x, for each group of an activation's channels
Products = Sequence[np.ndarray]


@dataclass(frozen=True, eq=False)
class Range:
    """The range of one layer's input: its `largest` absolute value, and the `products` of its
    channels (`retouch_export.gptq`)."""

    largest: float
    products: Products = ()


Ranges = dict[str, dict[str, Range]]  # by graph and module


def read(path: Path) -> Ranges:
    """Read the ranges of a file that `write` has written; ValueError."""
    try:
        content = json.loads(Path(path).read_text())
        return {
            str(graph): {str(module): Range(float(largest)) for module, largest in ranges.items()}
            for graph, ranges in content.items()
        }
    except (ValueError, AttributeError, TypeError):
        raise ValueError(
            f"{Path(path).name} is no calibration; it must be JSON, {{graph: {{module: number}}}}"
        ) from None


def write(ranges: Ranges, path: Path) -> None:
    path.write_text(json.dumps(_largest(ranges), indent=1, sort_keys=True) + "\n")


def alike(one: Path, other: Path) -> bool:
    """Whether two files hold the same ranges of the graphs that are in both; ValueError."""
    before = _largest(read(one))
    now = _largest(read(other))
    return all(before[graph] == now[graph] for graph in before.keys() & now.keys())


def _largest(ranges: Ranges) -> dict[str, dict[str, float]]:
    return {
        graph: {module: range.largest for module, range in modules.items()}
        for graph, modules in ranges.items()
    }

"""What runs an exported artifact. A runner refuses an artifact that is not what its manifest
says."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Protocol

import numpy as np

from retouch.artifacts.manifest import Manifest

# the parameter `runner` of a config.pbtxt: module and class; imported when it is asked for
RUNNERS = {
    "onnx": ("retouch.backends.onnx", "OnnxRunner"),
    "onnx-float32": ("retouch.backends.onnx", "Float32Runner"),
    "tensorrt": ("retouch.backends.tensorrt.runner", "TensorRTRunner"),
    "torch": ("retouch.backends.torch", "TorchRunner"),
}


class Runner(Protocol):
    """One graph of a version folder, made as `Runner(folder, graph, keep)`: see
    `retouch.backends.onnx.OnnxRunner`.

    Outputs named in `keep` may stay where the runner computes; they are inputs of other graphs of
    the same runner, and `numpy.asarray` brings them back. An input may be a list of arrays, which
    are joined along the batch. As many `workers` may run it side by side and gain from it."""

    manifest: Manifest
    workers: int

    def run(self, **inputs: np.ndarray | list[np.ndarray]) -> dict[str, np.ndarray]: ...


def joined(value: np.ndarray | list[np.ndarray]) -> np.ndarray:
    """One array of an input's rows, wherever they are."""
    if not isinstance(value, list):
        return value
    return value[0] if len(value) == 1 else np.concatenate(value)


Opener = Callable[..., Runner]


def runner_of(name: str) -> Opener:
    """The runner called `name`; ValueError."""
    if name not in RUNNERS:
        raise ValueError(f"runner {name!r} is unknown; it must be {', '.join(RUNNERS)}")
    module, kind = RUNNERS[name]
    return getattr(importlib.import_module(module), kind)


def files_of(graph: str, manifest_files: dict[str, str]) -> list[str]:
    """An ONNX graph's own file and, where its weights lie beside it, theirs."""
    return [f"{graph}.onnx", *(name for name in (f"{graph}.onnx.data",) if name in manifest_files)]

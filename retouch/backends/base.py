"""The backends that run an exported graph. They refuse an artifact that does not match its
manifest."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Protocol

import numpy as np

from retouch.artifacts.manifest import ArtifactError, Manifest
from retouch.artifacts.matrices import Matrices

# by the parameter `runner` of a config.pbtxt: module and class, imported when they are used
BACKENDS = {
    "onnx": ("retouch.backends.onnx", "OnnxBackend"),
    "onnx-float32": ("retouch.backends.onnx", "Float32Backend"),
    "tensorrt": ("retouch.backends.tensorrt.backend", "TensorRTBackend"),
    "auto": ("retouch.backends.auto", "best_backend"),
    "onnx-cuda": ("retouch.backends.onnx_cuda", "OnnxCudaBackend"),
    "torch": ("retouch.backends.torch", "TorchBackend"),
}

CACHED = ("k", "v")  # a reference's keys and values: outputs of one graph, inputs of another
CACHED_TEXT = ("text_k", "text_v")  # a prompt's, likewise
CACHED_INPUTS = (*CACHED, *CACHED_TEXT, "past_k", "past_v")


class Backend(Protocol):
    """One graph of a version folder, made as `Backend(folder, graph, keep)`; ArtifactError.

    Outputs named in `keep` may stay on the backend's device. They are inputs of other graphs of the
    same backend, and `numpy.asarray` copies them to the host. `workers` is how many concurrent runs
    gain time. `batches` is whether a run of several rows is faster than as many runs, `compiles`
    whether the first run of a shape takes long."""

    manifest: Manifest
    workers: int
    batches: bool
    compiles: bool

    def run(self, **inputs: np.ndarray | list[np.ndarray]) -> dict[str, np.ndarray]:
        """The graph's outputs by name, with a batch dimension in front. An input that is a list of
        arrays is concatenated along the batch.

        An adapter's matrices are inputs too, all rows share them; those of layers that the graph
        lacks are left out."""
        ...

    def accept_adapters(self) -> None:
        """Take adapters' matrices from now on; ArtifactError in a backend that cannot. A second
        call does nothing."""
        ...

    def placed(self, matrices: Matrices) -> Matrices:
        """An adapter's matrices on the device, for the runs of all graphs of a lane."""
        ...


class FixedWeights:
    """The part of a backend that takes no adapters, such as TensorRT's plans."""

    def accept_adapters(self) -> None:
        """ArtifactError."""
        raise ArtifactError(
            "the runner of this lane has fixed weights; merge the adapter into a lane by "
            "`retouch export --lora`"
        )

    def placed(self, matrices: Matrices) -> Matrices:
        """ArtifactError."""
        self.accept_adapters()
        return matrices


def joined(value: np.ndarray | list[np.ndarray]) -> np.ndarray:
    """An input as one array."""
    if not isinstance(value, list):
        return value
    return value[0] if len(value) == 1 else np.concatenate(value)


BackendFactory = Callable[..., Backend]


def backend_of(name: str) -> BackendFactory:
    """The backend called `name`; ValueError."""
    _check(name)
    module, kind = BACKENDS[name]
    return getattr(importlib.import_module(module), kind)


def lazy_backend_of(name: str) -> BackendFactory:
    """The backend called `name`, whose packages are imported with its first graph: a stage without
    graphs needs none. ValueError."""
    _check(name)
    return lambda *arguments, **options: backend_of(name)(*arguments, **options)


def _check(name: str) -> None:
    if name not in BACKENDS:
        raise ValueError(f"runner {name!r} is unknown; it must be {', '.join(BACKENDS)}")


def files_of(graph: str, manifest_files: dict[str, str]) -> list[str]:
    """The names of an ONNX graph's file and, if there is one, of the file of its weights."""
    return [f"{graph}.onnx", *(name for name in (f"{graph}.onnx.data",) if name in manifest_files)]

"""The graphs of all stages in PyTorch, for a GPU without TensorRT.

A graph is run by the torch module that it was traced from, with the parameters of its file."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from retouch.artifacts.adapter_folder import is_matrix
from retouch.artifacts.manifest import ArtifactError, Manifest, read, verify
from retouch.artifacts.matrices import Matrices
from retouch.backends import kept_values, torch_compile
from retouch.backends.base import CACHED_INPUTS, files_of
from retouch.backends.torch_branches import Branches, forget_compiled, padded
from retouch.backends.torch_module import dtype_of, module_of
from retouch.backends.torch_offload import Offloaded
from retouch.util import env
from retouch.util.device import CPU, CUDA, Device, parse

DEVICE = env.DEVICE.name
COMPILE = env.COMPILE.name
HOST = torch.device("cpu")


class TorchBackend:
    """A graph of a stage's folder, in the types of `torch_module`, with FP8 where the graph has it.

    When compiled, the first run takes a minute, and so do the first run with several edits and the
    first with a single cell. On a GPU an edit's last bits may depend on the edits that share its
    steps."""

    manifest: Manifest
    workers = 1
    batches: bool
    compiles: bool

    def __init__(
        self,
        folder: Path,
        graph: str,
        keep: tuple[str, ...] = (),
        device: str = "",
        compiled: bool | None = None,
        offload: bool = False,
    ):
        """ArtifactError when the graph is missing, changed or not supported, or the device is not
        on this machine.

        Outputs in `keep` stay on the device. `device` and `compiled` override the environment.
        With `offload` the parameters stay in host memory and come to the device for every run.
        """
        self.manifest = verify(folder, *files_of(graph, read(folder).files))
        self._device = device_of(device or env.DEVICE.get())
        self._dtype = dtype_of(self.manifest, self._device)
        self.batches = self._device.type != "cpu"
        self._keep = keep
        path = Path(folder) / f"{graph}.onnx"
        home = HOST if offload else self._device
        module = module_of(path, self.manifest, self._device, home)
        self._outputs = cast("tuple[str, ...]", module.outputs)  # every pass has them
        compiled = wants_compiling(self._device) if compiled is None else compiled
        self.compiles = compiled
        if compiled:
            torch_compile.prepare()
        runnable = torch.compile(module, dynamic=True) if compiled else module
        self._module = Offloaded(module, runnable, self._device) if offload else runnable
        self._plain = module
        self._branches: Branches | None = None

    @torch.no_grad()
    def run(self, **inputs: Input | list[Input]) -> dict[str, Input]:
        """The graph's outputs by name, in float32. An input that is a list is concatenated along
        the batch, on the device."""
        tensors = {name: self._tensor(name, value) for name, value in inputs.items()}
        matrices = {name: tensors.pop(name) for name in filter(is_matrix, inputs)}
        with self._adapted(matrices):
            outputs = self._module(**tensors)
        named = zip(self._outputs, outputs if isinstance(outputs, tuple) else (outputs,))
        return {
            name: Kept(value) if name in self._keep else np.asarray(Kept(value))
            for name, value in named
        }

    def accept_adapters(self) -> None:
        """Give the module's layers branches. A compiled module is compiled again."""
        if self._branches is None:
            self._branches = Branches(self._plain)
            if self.compiles:
                forget_compiled()

    def placed(self, matrices: Matrices) -> dict[str, Kept]:
        """The matrices on the device, in the type of the parameters."""
        tensors = {
            name: torch.from_numpy(matrix).to(self._device, self._dtype)
            for name, matrix in matrices.items()
        }
        tensors = padded(tensors) if self.compiles else tensors
        return {name: Kept(tensor) for name, tensor in tensors.items()}

    def _adapted(self, matrices: dict[str, Tensor]) -> AbstractContextManager[None]:
        """A `with` block in which the module has the adapter of these matrices."""
        if self._branches is None:
            return nullcontext()
        return self._branches.using(
            self._branches.completed(matrices) if self.compiles else matrices
        )

    def _tensor(self, name: str, value: Input | list[Input]) -> Tensor:
        if isinstance(value, list):
            rows = [self._tensor(name, row) for row in value]
            return rows[0] if len(rows) == 1 else torch.cat(rows)
        if isinstance(value, Kept):
            return value.tensor
        dtype = self._dtype if name in CACHED_INPUTS else None
        return torch.tensor(value, device=self._device, dtype=dtype)


class Kept:
    """An output that stays on the device; `numpy.asarray` makes it float32 on the host.

    Keys and values may lie in host memory, and may be E4M3 with `scales`, until `wide` is
    called."""

    def __init__(
        self,
        tensor: Tensor,
        scales: Tensor | None = None,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ):
        self.tensor = tensor
        self._scales = scales
        self._device = device or tensor.device
        self._dtype = dtype or tensor.dtype

    @property
    def nbytes(self) -> int:
        return self.tensor.nbytes + (0 if self._scales is None else self._scales.nbytes)

    def wide(self) -> Kept:
        """The tensor in the type and on the device that it was made in."""
        moved = self.on_device()
        if moved._scales is None:
            return moved
        return Kept((moved.tensor.float() * moved._scales).to(self._dtype))

    def in_fp8(self) -> Kept:
        """In E4M3, with a scale for every layer and head; a tensor [1, layers, tokens, heads,
        size]."""
        numbers = self.tensor.float()
        largest = numbers.abs().amax(kept_values.SCALED, keepdim=True)
        scales = torch.where(largest > 0, largest / kept_values.LARGEST, 1.0)
        values = (numbers / scales).to(torch.float8_e4m3fn)
        return Kept(values, scales, self._device, self._dtype)

    def on_host(self) -> Kept:
        return self._on(HOST)

    def on_device(self) -> Kept:
        return self._on(self._device)

    def joined(self, others: Sequence[Kept]) -> Kept:
        tensors = [self.tensor, *(other.tensor for other in others)]
        return Kept(torch.cat(tensors, kept_values.TOKENS))

    def _on(self, place: torch.device) -> Kept:
        if self.tensor.device == place:
            return self
        scales = None if self._scales is None else self._scales.to(place)
        return Kept(self.tensor.to(place), scales, self._device, self._dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.tensor.float().cpu().numpy().astype(dtype or np.float32, copy=False)


Input = np.ndarray | Kept


def device_of(name: str) -> torch.device:
    """The device called `name`, or by default a GPU if there is one; ArtifactError when it is not
    on this machine."""
    try:
        device = parse(name) or Device(CUDA if torch.cuda.is_available() else CPU)
    except ValueError as failure:
        raise ArtifactError(str(failure)) from None
    if device.kind == CUDA and device.index >= torch.cuda.device_count():
        raise ArtifactError(
            f"PyTorch {torch.__version__} finds no {device} here; set {DEVICE} to cpu or install "
            "a build with CUDA"
        )
    return torch.device(str(device))


def wants_compiling(device: torch.device) -> bool:
    """By the environment, or on GPUs only where that is not set; ValueError for values other than 0
    and 1."""
    value = env.COMPILE.get() or str(int(device.type == "cuda"))
    if value not in ("0", "1"):
        raise ValueError(f"{COMPILE} is {value!r}; it must be 0 or 1")
    return value == "1"

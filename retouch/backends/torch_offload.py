"""A torch module whose parameters stay in host memory and come to the device for every run.

A text encoder of 10 GB then takes no memory of the GPU while an edit is denoised. A read waits for
the copy: 10 GB at 25 GB/s of PCIe 4 take 0.4 s."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from retouch.networks.fp8_linear import Fp8Linear, multiplies_fp8


class Offloaded:
    """Runs `module`, which lies in host memory, on `device`."""

    def __init__(self, module: nn.Module, run: Callable[..., Any], device: torch.device):
        """`run` is the module itself, or what a compiler made of it."""
        self._module = module
        self._run = run
        self._device = device
        for layer in module.modules():
            if isinstance(layer, Fp8Linear):  # it was made where it lies, not where it runs
                layer.native = multiplies_fp8(device)
        if device.type == "cuda":
            for tensor in self._tensors():
                tensor.data = tensor.data.pin_memory()  # copies from pinned memory overlap

    def __call__(self, **inputs: Any) -> Any:
        """The module's outputs. Its parameters are on the device until it returns."""
        with self._on_device():
            return self._run(**inputs)

    @contextmanager
    def _on_device(self) -> Iterator[None]:
        tensors = self._tensors()
        at_home = [tensor.data for tensor in tensors]
        try:
            for tensor in tensors:
                tensor.data = tensor.data.to(self._device, non_blocking=True, copy=True)
            yield
        finally:
            for tensor, data in zip(tensors, at_home):
                tensor.data = data

    def _tensors(self) -> list[Tensor]:
        """Each parameter and buffer once, however many names it has; without those that no run
        uses, which have no numbers."""
        tensors = (*self._module.parameters(), *self._module.buffers())
        return list({id(tensor): tensor for tensor in tensors if not tensor.is_meta}.values())

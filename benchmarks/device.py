"""The device that a benchmark of torch modules runs on."""

from __future__ import annotations

import gc
import sys

import torch


def device_of(name: str) -> torch.device:
    """The device called `name`; SystemExit when it is a GPU and PyTorch finds none."""
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        sys.exit(
            f"PyTorch {torch.__version__} finds no GPU here; --tiny --device cpu tries the "
            "script without one"
        )
    return device


def release(device: torch.device) -> None:
    """Free the memory of deleted tensors and compiled modules."""
    torch._dynamo.reset()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()

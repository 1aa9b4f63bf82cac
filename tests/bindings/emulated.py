"""The emulated TensorRT and CUDA, for the process that imports this module: they stand for
`tensorrt` and `cuda.bindings.runtime`. NVIDIA's bindings must be on its path."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec

import building
import cuda.bindings
import running
import tensorrt_bindings
from checked import Fakes
from device import Device, Runtime
from world import World

DEVICE = Device()
WORLD = World(tensorrt_bindings, DEVICE, (*building.CLASSES, *running.CLASSES))
FAKES = Fakes(tensorrt_bindings, WORLD.classes)
CUDA = Runtime(DEVICE)
sys.modules["tensorrt"] = FAKES.module()
sys.modules["tensorrt"].__spec__ = ModuleSpec("tensorrt", None)  # torch looks for it
sys.modules["cuda.bindings.runtime"] = cuda.bindings.runtime = CUDA


def use_default_gpu() -> None:
    """A GPU that the installed TensorRT serves all lanes on: H200 for 10, B200 for 11."""
    DEVICE.name = "NVIDIA B200" if WORLD.eleven else "NVIDIA H200"
    DEVICE.capability = (10, 0) if WORLD.eleven else (9, 0)


use_default_gpu()

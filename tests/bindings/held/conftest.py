"""Runs in a process of its own for each TensorRT: fakes stand for `tensorrt` and
`cuda.bindings.runtime`."""

from __future__ import annotations

import os
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

VERSION = os.environ.get("RETOUCH_TENSORRT")  # set by tests/bindings/test_bindings.py
if not VERSION:
    collect_ignore_glob = ["test_*.py"]
else:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

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

    def use_default_gpu():
        DEVICE.name = "NVIDIA B200" if WORLD.eleven else "NVIDIA H200"
        DEVICE.capability = (10, 0) if WORLD.eleven else (9, 0)

    @pytest.fixture
    def device():
        """The GPU, one that the installed TensorRT serves all lanes on: H200 for 10, B200 for 11.
        What a test changes in it is undone, also for fixtures of the next module."""
        use_default_gpu()
        DEVICE.uploads = DEVICE.moves = DEVICE.launches = 0
        yield DEVICE
        use_default_gpu()

    @pytest.fixture
    def world(device):
        """The installed TensorRT; what a test changes in it is undone."""
        before = {
            name: getattr(WORLD, name)
            for name in ("widened", "noise", "milliseconds", "weight_share", "phases", "fails")
        }
        WORLD.timings.clear()
        WORLD.steps = 0
        yield WORLD
        for name, value in before.items():
            setattr(WORLD, name, value)

    @pytest.fixture
    def fakes():
        return FAKES

"""Runs in a process of its own for each TensorRT: fakes stand for `tensorrt` and
`cuda.bindings.runtime`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

VERSION = os.environ.get("RETOUCH_TENSORRT")  # set by tests/bindings/test_bindings.py
if not VERSION:
    collect_ignore_glob = ["test_*.py"]
else:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

    from emulated import DEVICE, FAKES, WORLD, use_default_gpu

    @pytest.fixture
    def device():
        """The GPU; what a test changes in it is undone, also for fixtures of the next module."""
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

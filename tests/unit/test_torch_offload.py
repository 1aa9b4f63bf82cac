"""Parameters that come to the device for a run and are gone afterwards."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from retouch.backends.offload import is_offloaded
from retouch.backends.torch_offload import Offloaded
from retouch.launcher.placements import placements
from retouch.launcher.server import REPOSITORY
from retouch.launcher.start_failure import ServerError

CPU = torch.device("cpu")


class Tied(nn.Module):
    """Two layers with one weight, and a buffer."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.register_buffer("shift", torch.ones(4))
        self.places: list[int] = []

    def forward(self, x):
        self.places = [tensor.data_ptr() for tensor in (*self.parameters(), *self.buffers())]
        if x is None:
            raise ValueError("no input")
        return self.second(self.first(x)) + self.shift


@pytest.fixture
def module():
    torch.manual_seed(0)
    return Tied().requires_grad_(False)


def homes(module):
    return [tensor.data_ptr() for tensor in (*module.parameters(), *module.buffers())]


def test_a_run_has_copies_and_leaves_none(module):
    x = torch.randn(2, 4)
    expected = module(x)
    before = homes(module)
    offloaded = Offloaded(module, module, CPU)
    torch.testing.assert_close(offloaded(x=x), expected, rtol=0, atol=0)
    assert len(module.places) == len(before) == 4  # the tied weight counts once
    assert not set(module.places) & set(before)
    assert homes(module) == before
    assert module.second.weight is module.first.weight


def test_a_run_that_fails_leaves_none_either(module):
    before = homes(module)
    with pytest.raises(ValueError, match="no input"):
        Offloaded(module, module, CPU)(x=None)
    assert homes(module) == before


@pytest.mark.parametrize(
    ("value", "stage", "runner", "expected"),
    [
        ("", "vl_parser", "onnx", False),
        ("text", "vl_parser", "auto", True),
        ("text", "vl_parser", "torch", True),
        ("text", "vae_decoder", "onnx", False),
    ],
)
def test_text_is_the_parser(monkeypatch, value, stage, runner, expected):
    monkeypatch.setenv("RETOUCH_OFFLOAD", value)
    assert is_offloaded(stage, runner) is expected


def test_only_text_can_be_offloaded(monkeypatch):
    monkeypatch.setenv("RETOUCH_OFFLOAD", "everything")
    with pytest.raises(ValueError, match="RETOUCH_OFFLOAD is 'everything'; it must be text"):
        is_offloaded("vl_parser", "torch")


def test_a_profile_that_cannot_offload_is_refused_before_a_start(monkeypatch):
    monkeypatch.setenv("RETOUCH_OFFLOAD", "text")
    with pytest.raises(ServerError, match="vl_parser: the runner onnx cannot offload; choose"):
        placements(REPOSITORY, "", ["vl_parser"])
    assert {part.runner for part in placements(REPOSITORY, "gpu", ["vl_parser"])} == {"torch"}

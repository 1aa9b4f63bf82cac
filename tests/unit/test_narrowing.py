"""Narrow layers of the benchmarks: the numbers and the layers of an exported graph."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.narrowing import narrow
from benchmarks.nvfp4_linear import Nvfp4Linear, rounded, to_e2m1
from retouch.networks.fp8_linear import Fp8Linear
from retouch_export.formats import from_nvfp4, to_nvfp4
from retouch_export.policy import LANGUAGE
from retouch_export.scales import nvfp4_scale


def test_ties_are_rounded_to_even():
    numbers = torch.tensor([0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, 5.1, 9.0, -2.6])
    expected = [0.0, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0, 6.0, 6.0, -3.0]
    assert to_e2m1(numbers).tolist() == expected


@pytest.mark.parametrize("search", (False, True))
def test_numbers_are_those_of_the_export(search):
    numbers = np.random.default_rng(0).standard_normal((64, 256)).astype(np.float32)
    numbers[0] = 0
    numbers[1, :16] *= 1e-6
    scale = nvfp4_scale(float(np.abs(numbers).max()))
    exported = from_nvfp4(*to_nvfp4(numbers, scale, search), scale)
    ours = rounded(torch.from_numpy(numbers), float(scale), search).numpy()
    # two scales of a block may have the same error but for the order of a sum
    assert (ours == exported).mean() > 0.999


class Block(nn.Module):
    """One layer of a language model, with the names that the policy looks for."""

    def __init__(self):
        super().__init__()
        self.q_proj = nn.Linear(32, 32, bias=False)
        self.down_proj = nn.Linear(32, 32)

    def forward(self, x):
        return self.down_proj(self.q_proj(x))


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(Block() for _ in range(3))
        self.head = nn.Linear(32, 32)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


@pytest.mark.parametrize("precision", ("fp8", "fp4"))
@torch.no_grad()
def test_layers_are_narrow_by_the_policy(precision):
    torch.manual_seed(0)
    network = Network().bfloat16()
    x = torch.randn(2, 5, 32, dtype=torch.bfloat16)
    exact = network(x).float()
    assert narrow(network, lambda: network(x), LANGUAGE, precision) == 6
    kinds = [[type(layer) for layer in block.children()] for block in network.layers]
    inner = Nvfp4Linear if precision == "fp4" else Fp8Linear
    assert kinds == [[inner, Fp8Linear], [inner, Fp8Linear], [Fp8Linear, Fp8Linear]]
    assert type(network.head) is nn.Linear
    error = (network(x).float() - exact).norm() / exact.norm()
    assert 0 < error < (0.4 if precision == "fp4" else 0.15)

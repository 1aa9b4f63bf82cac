"""The formula of a step's operations against PyTorch's counter, and what a share of the peak
means."""

import pytest
import torch
from diffusers import FluxTransformer2DModel
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.flops import Work
from benchmarks.flux import FULL, TINY, Flux, Settings
from benchmarks.timing import Timing, timed
from retouch.networks.fp8_linear import Fp8Linear

CPU = torch.device("cpu")


def make(precision):
    return Flux(
        Settings(tiny=True, precision=precision, compiled=False, attention="default", device="cpu")
    )


def test_the_formula_is_what_torch_counts():
    flux = make("bf16")
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        flux.step(**flux.inputs)
    assert counter.get_total_flops() == flux.work.total
    assert TINY[0].keys() <= flux.model.config.keys()


def test_the_full_size_is_flux1():
    config, tokens = FULL
    with torch.device("meta"):
        model = FluxTransformer2DModel(**config)
    assert sum(parameter.numel() for parameter in model.parameters()) == pytest.approx(
        11.9e9, rel=0.01
    )
    work = Work.of(model.config, tokens)
    assert tokens.all == 8704 and work.total == pytest.approx(165.5e12, rel=0.001)
    peaks = {"bf16": 800e12, "fp8": 1600e12}
    assert work.least_seconds("bf16", peaks) == pytest.approx(work.total / 800e12)
    assert work.least_seconds("fp8", peaks) == pytest.approx(
        work.least_seconds("bf16", peaks) - work.blocks / 1600e12
    )


def test_fp8_narrows_every_linear_layer_of_the_blocks():
    wide = make("bf16")
    narrow = make("fp8")
    layers = {
        name: layer for name, layer in narrow.model.named_modules() if isinstance(layer, Fp8Linear)
    }
    left = {
        name for name, layer in narrow.model.named_modules() if isinstance(layer, torch.nn.Linear)
    }
    assert len(layers) == 20 and not any("blocks" in name for name in left)
    single = narrow.model.single_transformer_blocks[0]
    assert (
        single.attn.to_q.scale
        is single.attn.to_v.scale
        is single.proj_mlp.scale
        is not single.proj_out.scale
    )
    ours, exact = (network.step(**network.inputs).float() for network in (narrow, wide))
    assert 0 < (ours - exact).norm() / exact.norm() < 0.05


def test_timing():
    assert Timing.of([3.0, 1.0, 2.0]) == Timing(2.0, 1.0, 3.0, 3)
    assert Timing(2.0, 1.0, 3.0, 3).shared(2) == Timing(1.0, 0.5, 1.5, 3)
    runs = []
    assert timed(lambda: runs.append(0), CPU, count=5, warm_up=2, repeat=3).count == 5
    assert len(runs) == 21

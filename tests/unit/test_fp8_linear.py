"""The FP8 layer against plain arithmetic, in both of its ways; PyTorch multiplies E4M3 on a CPU
too."""

import numpy as np
import pytest
import torch

from retouch.networks.fp8_linear import E4M3, Fp8Linear, multiplies_fp8, to_fp8
from retouch_export import formats

SIZES = ((48, 64), (40, 50), (7, 3))  # out and in, of which only the first are multiples of 16
BFLOAT16 = 2**-8  # its rounding, relative


def layer(rows, columns, native, bias=False):
    torch.manual_seed(0)
    weight = torch.randn(rows, columns).to(E4M3)
    bias = torch.randn(rows).bfloat16() if bias else None
    return Fp8Linear(weight, torch.tensor(2.0**-6), torch.tensor(2.0**-5), bias, native)


def expected(made, x, weight):
    """In float64."""
    numbers = (
        formats.to_fp8(x.float().numpy(), made.scale.numpy()).astype(np.float64) * made.scale.item()
    )
    return numbers @ (weight.float().numpy().astype(np.float64) * made.weight_scale.item()).T


def test_rounds_as_the_export_does():
    edges = torch.tensor([0.0, -0.0, 448, -460, 1e9, -1e9, 2**-9, 2**-10, 3 * 2**-10])
    numbers = torch.cat([torch.randn(5000) * 30, edges])
    for scale in (2.0**-3, 0.37):
        ours = to_fp8(numbers, torch.tensor(scale)).view(torch.uint8).numpy()
        np.testing.assert_array_equal(
            ours, formats.to_fp8(numbers.numpy(), np.float32(scale)).view(np.uint8)
        )


@pytest.mark.parametrize("native", (False, True))
@pytest.mark.parametrize("bias", (False, True))
@pytest.mark.parametrize("rows, columns", SIZES)
def test_is_the_product_rounded_once(rows, columns, bias, native):
    made = layer(rows, columns, native, bias)
    x = (torch.randn(2, 5, columns) * 8).bfloat16()
    plain = expected(made, x, made.numbers[:rows, :columns])
    if bias:
        plain = plain + made.bias[:rows].double().numpy()
    got = made(x)
    assert got.shape == (2, 5, rows) and got.dtype is torch.bfloat16
    assert np.abs(got.double().numpy() - plain).max() <= BFLOAT16 * np.abs(plain).max()


@pytest.mark.parametrize("rows, columns", SIZES)
def test_both_ways_agree(rows, columns):
    x = (torch.randn(3, columns) * 8).bfloat16()
    wide, native = (layer(rows, columns, native_fp8)(x).float() for native_fp8 in (False, True))
    assert (wide - native).norm() <= BFLOAT16 * wide.norm()


def test_a_cpu_has_no_matrix_units_for_it():
    assert not multiplies_fp8(torch.device("cpu"))
    assert not layer(16, 16, None).native

"""Noise against PyTorch's own, for every way that it takes."""

import numpy as np
import pytest
import torch

from retouch.torch_noise import randn

SHAPES = ((1,), (2,), (7,), (15,), (16,), (17,), (31,), (3, 5, 7), (1, 16, 6, 10), (128, 8, 8), (1024, 64))
SEEDS = (0, 1, 42, 2**31, 2**32 - 1, 2**32, 2**32 + 42, 2**53 + 1, 2**63 - 1)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_is_torchs(shape):
    for seed in SEEDS:
        expected = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).numpy()
        got = randn(seed, shape)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-6)

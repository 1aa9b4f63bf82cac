"""Noise without torch against torch's own."""

import numpy as np
import pytest
import torch

from retouch.diffusion.noise import randn

SHAPES = (
    (1,),
    (2,),
    (15,),
    (16,),
    (17,),
    (31,),
    (33,),
    (3, 5),
    (1, 16, 4, 6),
    (1, 16, 12, 10),
    (2, 3, 5, 7),
    (1, 32, 32, 33),
)
SEEDS = (0, 1, 42, 2**31, 2**32 - 1, 2**32, 2**32 + 42, 2**63 - 1)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("seed", SEEDS)
def test_it_is_torchs(seed, shape):
    ours = randn(seed, shape)
    theirs = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).numpy()
    assert ours.dtype == np.float32 and ours.shape == shape
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


def test_a_whole_images_noise():
    """262,144 numbers: 1024 × 1024 pixels in 16 channels of an eighth."""
    ours = randn(7, (1, 16, 128, 128))
    theirs = torch.randn((1, 16, 128, 128), generator=torch.Generator().manual_seed(7)).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)
    assert not np.array_equal(ours, randn(8, ours.shape))

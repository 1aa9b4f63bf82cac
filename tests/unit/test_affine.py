"""What an affine prediction makes of the source's tokens."""

import pytest
import torch

from retouch.networks.affine import affine_width, clean_tokens
from retouch.networks.flux2_passes import velocity

CHANNELS = 3
PLACES = 16
WIDTH = CHANNELS * PLACES


def predicted(matrix=None, offset=None, strength=None, residual=None):
    """One token's prediction; what is not given is zero."""
    parts = [
        (matrix, CHANNELS * CHANNELS),
        (offset, CHANNELS),
        (strength, PLACES),
        (residual, WIDTH),
    ]
    rows = [torch.zeros(size) if part is None else part.flatten() for part, size in parts]
    return torch.cat(rows)[None, None]


@pytest.fixture
def source():
    return torch.randn(1, 1, WIDTH, generator=torch.Generator().manual_seed(0))


def made(source, **parts):
    """Latents [C, P]."""
    tokens = predicted(**parts)
    assert tokens.shape[-1] == affine_width(CHANNELS, WIDTH)
    return clean_tokens(tokens, source, CHANNELS).reshape(CHANNELS, PLACES)


def test_zeros_change_nothing(source):
    torch.testing.assert_close(made(source).flatten(), source.flatten(), rtol=0, atol=0)


def test_the_map_mixes_channels_of_every_latent(source):
    matrix = torch.randn(CHANNELS, CHANNELS)
    offset = torch.randn(CHANNELS)
    latents = source.reshape(CHANNELS, PLACES)
    expected = latents + matrix @ latents + offset[:, None]
    torch.testing.assert_close(made(source, matrix=matrix, offset=offset), expected)


def test_its_strength_is_that_of_a_latent(source):
    strength = torch.zeros(PLACES)
    strength[::2] = -1
    changed = made(source, offset=torch.ones(CHANNELS), strength=strength)
    moved = changed - source.reshape(CHANNELS, PLACES)
    torch.testing.assert_close(moved, (1 + strength).expand(CHANNELS, -1))


def test_the_residual_is_added(source):
    residual = torch.randn(CHANNELS, PLACES)
    torch.testing.assert_close(
        made(source, residual=residual), source.reshape(CHANNELS, PLACES) + residual
    )


def test_a_step_goes_to_the_clean_tokens(source):
    noisy = torch.randn(1, 1, WIDTH)
    sigma = torch.tensor(0.7)
    tokens = predicted(residual=torch.randn(WIDTH))
    beside = torch.cat([source, torch.randn(1, 1, 5)], -1)
    direction = velocity("affine", tokens, noisy, sigma, beside, CHANNELS)
    clean = clean_tokens(tokens, source, CHANNELS)
    torch.testing.assert_close(noisy - sigma * direction, clean)

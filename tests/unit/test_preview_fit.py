"""The map from tokens to a preview's pixels, fitted by least squares."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from export import preview
from retouch.manifest import Manifest, publish
from retouch.preview import PreviewMap


def test_finds_the_map_that_there_is():
    rng = np.random.default_rng(0)
    weight, bias = rng.standard_normal((12, 48)), rng.standard_normal(48)
    tokens = rng.standard_normal((900, 12))
    found = preview.fit(tokens, tokens @ weight + bias)
    assert [each.dtype for each in found] == [np.float32] * 2
    np.testing.assert_allclose(found[0], weight, atol=1e-3)
    np.testing.assert_allclose(found[1], bias, atol=1e-3)


def test_pictures_are_smooth_and_use_the_colours_there_are():
    pictures = preview.pictures(4)
    assert pictures.shape == (4, 3, 256, 256) and pictures.abs().max() <= 1
    assert pictures.std() > 0.3 and (pictures[..., 1:] - pictures[..., :-1]).abs().mean() < 0.1
    assert torch.equal(pictures, preview.pictures(4))


@pytest.mark.parametrize("size", ((64, 96), (48, 32)))
def test_a_preview_is_a_small_picture(tmp_path, size):
    """Of an autoencoder whose token is its cell, in an order of its own."""
    (tmp_path / "staging").mkdir()
    preview.write(tmp_path / "staging", encode)
    publish(tmp_path / "staging", tmp_path, Manifest("", "", "", "", 0))
    height, width = size
    picture = preview.pictures(1, seed=1)[:, :, :height, :width]
    grid = height // 16, width // 16
    small = F.avg_pool2d(picture, 4)[0].permute(1, 2, 0).numpy()
    seen = PreviewMap.load(tmp_path).image(encode(picture)[0].numpy(), grid)
    assert np.abs(seen / 127.5 - 1 - small).max() < 0.02


def encode(pixels):
    return F.pixel_unshuffle(F.avg_pool2d(pixels, 4), 4).flatten(2).transpose(1, 2).flip(-1)


"""The map for previews: what is linear is found, and it is written for the cells that it was fitted
to."""

import numpy as np

from retouch.artifacts.manifest import Manifest, publish
from retouch.diffusion.preview import PreviewMap
from retouch_export.preview import fit, small, smooth_images, write


def test_a_linear_map_is_found():
    rng = np.random.default_rng(0)
    tokens = rng.standard_normal((500, 20))
    weight = rng.standard_normal((20, 48))
    bias = rng.standard_normal(48)
    fitted = fit(tokens.astype(np.float32), tokens @ weight + bias)
    for ours, theirs in zip(fitted, (weight, bias)):
        assert ours.dtype == np.float32
        np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_images_are_smooth_and_alike_each_time():
    images = list(smooth_images(8))
    assert all(image.shape == (128, 128, 3) and image.dtype == np.uint8 for image in images)
    steps = [np.abs(np.diff(image.astype(int), axis=0)).mean() for image in images]
    assert max(steps) < 20 and np.std(images) > 40
    np.testing.assert_array_equal(images, list(smooth_images(8)))


def test_a_preview_is_the_image_made_small(tmp_path):
    """Of an autoencoder whose tokens are its cells' pixels."""
    (tmp_path / "staging").mkdir()
    write(
        tmp_path / "staging",
        lambda pixels: small((pixels.transpose(1, 2, 0) + 1) * 127.5).astype(np.float32) * 3,
    )
    publish(tmp_path / "staging", tmp_path, Manifest("", "", "", "", 20))
    image = next(smooth_images(seed=1))
    shown = PreviewMap.load(tmp_path).image(small(image).astype(np.float32) * 3, (8, 8))
    expected = image.reshape(32, 4, 32, 4, 3).mean((1, 3))
    assert np.abs(shown - expected).max() <= 1

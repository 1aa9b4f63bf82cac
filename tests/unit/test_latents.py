"""Packing, position ids and noise."""

import numpy as np
import pytest

from retouch.diffusion.latents import (
    conditioning_ids,
    noise,
    pack,
    reference_ids,
    target_ids,
    unpack,
)


@pytest.mark.parametrize("patch", (2, 8))
def test_unpack_undoes_pack(patch):
    latents = np.random.default_rng(0).standard_normal((2, 3, 6 * patch, 10 * patch), np.float32)
    tokens = pack(latents, patch)
    assert tokens.shape == (2, 60, 3 * patch**2)
    np.testing.assert_array_equal(unpack(tokens, (6, 10), patch), latents)
    corner = latents[0, :, patch : 2 * patch, :patch]  # the first token of the second row
    np.testing.assert_array_equal(tokens[0, 10], corner.reshape(-1))


def test_ids_name_row_and_column():
    ids = target_ids((6, 10))
    assert ids.dtype == np.float32 and ids.shape == (60, 4)
    assert ids[23].tolist() == [0, 2, 3, 0] and reference_ids((6, 10))[23].tolist() == [10, 2, 3, 0]


def test_conditioning_stands_at_the_boxes():
    boxes = np.zeros((1, 2, 2, 4), np.float32)
    boxes[0, 0, 0] = 0.25, 0.5, 0.5, 1.0  # x0, y0, x1, y1
    ids = conditioning_ids(boxes, (8, 8), 4)[0]
    assert ids.shape == (8, 4) and ids.dtype == np.float32
    assert ids[:, 3].tolist() == list(range(8))
    assert ids[:4, 1:3].tolist() == [[5.5, 2.5]] * 4  # row, column; the value's box is missing
    assert not ids[4:, :3].any()


def test_noise_of_a_seed_is_fixed():
    drawn = noise(7, 60, 192)
    assert drawn.dtype == np.float32 and drawn.shape == (60, 192)
    np.testing.assert_array_equal(drawn, noise(7, 60, 192))
    assert not np.array_equal(drawn, noise(8, 60, 192))
    assert abs(drawn.mean()) < 0.05 and abs(drawn.std() - 1) < 0.05
    assert np.isfinite(noise(2**63 - 1, 4, 8)).all()

"""The linear map from tokens to small pictures, and when they are due."""

import numpy as np

from retouch.diffusion.preview import PreviewMap, to_uint8
from retouch.engine.edit_state import preview_steps


def test_pixels_stand_where_their_cell_is():
    bias = np.zeros((4, 4, 3), np.float32)
    bias[0, 3] = 1, 0, -1  # the first row's last pixel of every cell
    tokens = np.zeros((6, 1), np.float32)
    tokens[4] = 1  # second row, second column
    picture = PreviewMap(np.ones((1, 48), np.float32), bias.reshape(-1)).image(tokens, (2, 3))
    assert picture.shape == (8, 12, 3) and picture.dtype == np.uint8
    assert picture[0, 3].tolist() == [255, 128, 0] and picture[0, 0].tolist() == [128] * 3
    assert (picture[4:, 4:8] == 255).sum() == 16 * 3 - 1


def test_colours_are_rounded_and_cut():
    assert to_uint8(np.array([-9, -1, 0, 1, 9], np.float32)).tolist() == [0, 0, 128, 255, 255]


def test_previews_are_spread_over_the_steps():
    assert preview_steps(12, 0) == set()
    assert preview_steps(12, 2) == {4, 8}
    assert preview_steps(12, 3) == {3, 6, 9}
    assert preview_steps(3, 2) == {1, 2}
    assert preview_steps(1, 8) == set()
    for steps in range(1, 51):
        for previews in range(9):
            assert len(preview_steps(steps, previews)) == min(previews, steps - 1)

"""The boxes as every target token sees them."""

import numpy as np

from retouch.diffusion.box_features import CHANNELS, box_features
from retouch.diffusion.latents import target_ids

GRID = (4, 6)  # rows, columns


def seen(*boxes):
    """float32 [24, boxes, 4, 7]: by token, box, edge and channel."""
    corners = np.array(boxes, np.float32).reshape(1, -1, 2, 4)
    return box_features(corners, target_ids(GRID)[None], GRID).reshape(
        24, len(boxes), 4, CHANNELS // 4
    )


def test_a_distance_is_in_cells_from_the_tokens_centre():
    first = seen((0.25, 0.25, 0.5, 1.0), (0, 0, 0, 0))[0, 0]
    away = np.array([1.0, 0.5, 2.5, 3.5])  # from the centre of the top left cell to x0, y0, x1, y1
    np.testing.assert_allclose(first[:, 0], np.tanh(away), rtol=1e-6)
    np.testing.assert_allclose(first[:, 1], np.sin(np.pi * away / 2), atol=1e-6)
    np.testing.assert_allclose(first[:, 6], np.cos(np.pi * away * 2), atol=1e-6)


def test_a_box_moved_by_a_cell_looks_the_same_one_cell_on():
    here = seen((0, 0, 0.5, 0.5), (0, 0, 0, 0))
    there = seen((1 / 6, 0, 4 / 6, 0.5), (0, 0, 0, 0))
    np.testing.assert_allclose(
        here.reshape(4, 6, -1)[:, :-1], there.reshape(4, 6, -1)[:, 1:], atol=1e-5
    )


def test_where_there_is_no_box_there_is_nothing():
    assert not seen((0, 0, 0.5, 0.5), (0, 0, 0, 0))[:, 1].any()


def test_no_tokens():
    boxes = np.zeros((1, 2, 2, 4), np.float32)
    none = np.zeros((1, 0, 4), np.float32)
    assert box_features(boxes, none, GRID).shape == (1, 0, 4 * CHANNELS)

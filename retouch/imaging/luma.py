"""Luma: how light a pixel's colour is."""

import numpy as np

LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def luma(pixels: np.ndarray) -> np.ndarray:
    """[…, 3] → […], in the units of the pixels."""
    return pixels @ LUMA

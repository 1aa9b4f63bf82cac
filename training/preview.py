"""The linear map from a token to 4×4 pixels, for previews: fitted once, by least squares."""

import random

import numpy as np

from retouch.preview import SIDE
from training.render import render
from training.scenes import BUCKETS, draw_pair
from training.vae import area_tokens


def fit(seed: int = 0, scenes: int = 60) -> dict[str, np.ndarray]:
    """`weight` float32 [192, 48] and `bias` [48]: token → RGB in −1..1, row by row."""
    rng, tokens, colours = random.Random(f"preview {seed}"), [], []
    for _ in range(scenes):
        pixels = render(draw_pair(rng, rng.choice(BUCKETS)).target).pixels
        tokens.append(area_tokens([pixels])[0])
        colours.append(_small(pixels))
    tokens, colours = np.concatenate(tokens), np.concatenate(colours)
    # a ridge keeps directions that no scene shows from being amplified
    design = np.concatenate([tokens, np.ones((len(tokens), 1), np.float32)], 1).astype(np.float64)
    solution = np.linalg.solve(design.T @ design + 1e-2 * np.eye(design.shape[1]), design.T @ colours)
    return {"weight": solution[:-1].astype(np.float32), "bias": solution[-1].astype(np.float32)}


def _small(pixels: np.ndarray) -> np.ndarray:
    """The 4×4 mean colours of every cell, [N, 48] in −1..1."""
    height, width, _ = pixels.shape
    area = pixels.reshape(height // 16, SIDE, 4, width // 16, SIDE, 4, 3).astype(np.float64).mean((2, 5)) / 127.5 - 1
    return area.transpose(0, 2, 1, 3, 4).reshape(-1, SIDE * SIDE * 3)

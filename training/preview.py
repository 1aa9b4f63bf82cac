"""The shipped checkpoint's linear map from a token to 4×4 preview pixels, fitted to scenes."""

import random

import numpy as np

from retouch_export import preview
from training.render import render
from training.scenes import BUCKETS, draw_pair
from training.vae import area_tokens


def fit(seed: int = 0, scenes: int = 60) -> dict[str, np.ndarray]:
    """`weight` float32 [192, 48] and `bias` [48]: token → RGB in −1..1, row-major."""
    rng = random.Random(f"preview {seed}")
    drawn = [render(draw_pair(rng, rng.choice(BUCKETS)).target).pixels for _ in range(scenes)]
    weight, bias = preview.fit(
        np.concatenate([area_tokens([pixels])[0] for pixels in drawn]),
        np.concatenate([preview.small(pixels) for pixels in drawn]),
    )
    return {"weight": weight, "bias": bias}

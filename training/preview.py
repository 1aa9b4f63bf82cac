"""The checkpoint's linear map from a token to 4×4 preview pixels, fitted to its pictures."""

import random

import numpy as np

from retouch_export import preview
from training.scenes import BUCKETS
from training.vae import area_tokens
from training.worlds import draw_source


def fit(seed: int = 0, pictures: int = 60) -> dict[str, np.ndarray]:
    """`weight` float32 [192, 48] and `bias` [48]: token → RGB in −1..1, row-major."""
    rng = random.Random(f"preview {seed}")
    drawn = [draw_source(rng, rng.choice(BUCKETS)).pixels for _ in range(pictures)]
    weight, bias = preview.fit(
        np.concatenate([area_tokens([pixels])[0] for pixels in drawn]),
        np.concatenate([preview.small(pixels) for pixels in drawn]),
    )
    return {"weight": weight, "bias": bias}

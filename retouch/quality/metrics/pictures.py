"""What every measure of an edit is given: source, answer and region."""

from __future__ import annotations

import numpy as np


def check(source: np.ndarray, answer: np.ndarray, region: np.ndarray | None = None) -> None:
    """ValueError unless `source` and `answer` are uint8 [H, W, 3] of one size with pixels, and
    `region`, where there is one, is bool [H, W]."""
    for name, pixels in (("source", source), ("answer", answer)):
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
            raise ValueError(f"the {name} is {_described(pixels)}; it must be uint8 [H, W, 3]")
    if source.shape != answer.shape:
        raise ValueError(
            f"the source is {_described(source)} and the answer {_described(answer)}; "
            "they must have one size"
        )
    if region is not None and (region.dtype != bool or region.shape != source.shape[:2]):
        height, width = source.shape[:2]
        raise ValueError(f"the region is {_described(region)}; it must be bool [{height}, {width}]")


def _described(array: np.ndarray) -> str:
    return f"{array.dtype} {list(array.shape)}"

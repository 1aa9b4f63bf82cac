"""Whether an edit succeeded, judged against the exact result."""

from dataclasses import dataclass

import numpy as np

from training.render import Drawing, nearest_label

VISIBLE = 12  # grey levels (0 to 255): a pixel that the edit moves further has to change
UNCHANGED = 16  # grey levels: a pixel that the answer moves less has not changed
INSIDE, OUTSIDE = 0.90, 0.97  # shares of pixels that must be right


@dataclass(frozen=True)
class Judgement:
    """`inside`: share of the pixels to change whose nearest palette colour is right; `outside`: share of the other
    pixels that are as before."""

    inside: float
    outside: float

    @property
    def success(self) -> bool:
        return self.inside >= INSIDE and self.outside >= OUTSIDE


def judge(source: Drawing, target: Drawing, answer: np.ndarray) -> Judgement:
    """`answer` uint8 [H, W, 3]. Pixels that a shape's edge blends have no palette colour and are not asked for one."""
    changed = _distance(source.pixels, target.pixels) > VISIBLE
    asked = changed & ~target.edges
    right = nearest_label(answer) == target.labels
    kept = _distance(source.pixels, answer) <= UNCHANGED
    return Judgement(_share(right[asked]), _share(kept[~changed]))


def _share(flags: np.ndarray) -> float:
    return float(flags.mean()) if flags.size else 1.0


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.abs(a.astype(np.int16) - b.astype(np.int16)).max(-1)

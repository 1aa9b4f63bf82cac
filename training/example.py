"""One training example of any world: two pictures, a sentence, and its operations."""

from dataclasses import dataclass

import numpy as np

from training.operation import Operation

LEAST_CHANGE = 2  # grey levels that a pixel changes by
LEAST_SHARE = 0.003  # of the picture


@dataclass(frozen=True)
class Example:
    """`source` and `target` are uint8 [H, W, 3] of one bucket.

    `contents` int64 [H/16 × W/16, 2] are the colour and the kind of the object in each cell, as
    numbers of the labels `value_colour` and `value_kind`; 0 for none."""

    sentence: str
    source: np.ndarray
    target: np.ndarray
    operations: tuple[Operation, ...]
    contents: np.ndarray

    @property
    def bucket(self) -> tuple[int, int]:
        height, width, _ = self.source.shape
        return height, width

    @property
    def edits(self) -> bool:
        """Whether the operations change the picture visibly, with all targets there."""
        present = all(operation.present for operation in self.operations)
        return present and bool(changed(self.source, self.target).mean() >= LEAST_SHARE)


def changed(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The pixels that differ visibly, bool [H, W], of two pictures uint8 [H, W, 3]."""
    return np.abs(source.astype(np.int16) - target).max(-1) > LEAST_CHANGE

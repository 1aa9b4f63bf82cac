"""What the parser has read in an instruction, as the evaluator's input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retouch.api.response import Operation


@dataclass(frozen=True)
class Vocabulary:
    """The operations and the words of targets and values that an evaluator knows, in the order of
    its inputs, and the number of operations that it reads."""

    ops: tuple[str, ...]
    terms: tuple[str, ...]
    slots: int = 2

    @property
    def width(self) -> int:
        """The length of a slot's row."""
        return len(self.ops) + 2 * len(self.terms)

    def reading(self, operations: Sequence[Operation]) -> np.ndarray:
        """float32 [slots, width]: 1 for an operation's op and for each word of its target and of
        its value, else 0. Further operations and unknown terms are left out."""
        rows = np.zeros((self.slots, self.width), np.float32)
        for row, operation in zip(rows, operations):
            targets = len(self.ops)
            values = targets + len(self.terms)
            self._mark(row, 0, self.ops, (operation.op,))
            self._mark(row, targets, self.terms, operation.target.split())
            self._mark(row, values, self.terms, operation.value.split())
        return rows

    @staticmethod
    def _mark(row: np.ndarray, first: int, names: tuple[str, ...], present: Sequence[str]) -> None:
        for name in present:
            if name in names:
                row[first + names.index(name)] = 1

"""The rotary embedding of Qwen2.5-VL's language model, in three dimensions. numpy only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Rope:
    """`head` is the head size. `sections` are the numbers of frequencies for time, row and column,
    one after the other. With `interleaved` rows and columns have every third instead, up to three
    times their number, and time has all others."""

    head: int
    theta: float
    sections: tuple[int, ...]
    interleaved: bool = False

    @classmethod
    def of(cls, text: Any) -> Rope:
        """The embedding of a language model with transformers' config `text`; ValueError for one
        that differs from Qwen2.5-VL's."""
        rope = text.rope_parameters
        if rope["rope_type"] != "default" or text.use_sliding_window:
            raise ValueError(
                f"the text model has {rope['rope_type']} rotary positions or a sliding window; "
                "neither is supported"
            )
        return cls(
            text.hidden_size // text.num_attention_heads,
            rope["rope_theta"],
            tuple(rope["mrope_section"]),
        )

    def tables(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Cosines and sines float32 [..., T, head] of positions [3, ..., T]."""
        exponents = np.arange(0, self.head, 2, dtype=np.float32) / np.float32(self.head)
        turns = np.moveaxis(positions[self._axes()], 0, -1).astype(np.float32)
        angles = turns * (np.float32(1) / np.float32(self.theta) ** exponents)
        angles = np.concatenate([angles, angles], -1)
        return np.cos(angles), np.sin(angles)

    def _axes(self) -> np.ndarray:
        """The axis of every frequency, int64 [head / 2]."""
        if not self.interleaved:
            return np.repeat(np.arange(len(self.sections)) % 3, self.sections)
        place = np.arange(self.head // 2)
        axis = place % 3
        return np.where(place < 3 * np.array(self.sections)[axis], axis, 0)

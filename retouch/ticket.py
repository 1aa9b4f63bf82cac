"""One edit at a denoiser: it is announced, carried out and, if need be, taken out under one ticket."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import numpy as np

from retouch.types import LOOK, TAKE_OUT

Arrays = dict[str, np.ndarray]

NAMES = ("LATENTS", "CONDITIONING", "BOXES", "CELLS", "SEED", "STEPS", "GUIDANCE", "PREVIEWS", "DEADLINE_MS", "INFO")
# every input is required, also where only the ticket counts
BLANK: Arrays = {
    "LATENTS": np.zeros((1, 1, 1, 1), np.float32), "CONDITIONING": np.zeros((1, 1, 1), np.float32),
    "BOXES": np.zeros((1, 1, 2, 4), np.float32), "CELLS": np.zeros((1, 1), bool),
    "SEED": np.zeros((1, 1), np.int64), "GUIDANCE": np.zeros((1, 1), np.float32),
    "PREVIEWS": np.zeros((1, 1), np.int32), "DEADLINE_MS": np.zeros((1, 1), np.int32),
    "INFO": np.full((1, 1), b"", object),
    "SOURCE": np.full((1, 3), b"", object),
}


class Ticket:
    """`stream(model, inputs)` reaches the denoiser `model` and yields its answers; it cannot be dropped half-way."""

    def __init__(self, stream: Callable[[str, Arrays], Iterator[Arrays]], model: str):
        self._stream, self._model = stream, model
        self._ticket = {"TICKET": np.array([[secrets.token_hex(8).encode()]], object)}

    def look(self, latents: Arrays) -> None:
        """Let it see the source ahead of the edit."""
        self._tell(LOOK, latents)

    def edit(self, tensors: Arrays) -> Iterator[Arrays]:
        """Its answers: previews where they are due, then the last. Closing the iterator takes the edit out."""
        inputs = {name: tensors[name] for name in NAMES} | {"SOURCE": BLANK["SOURCE"]} | self._ticket
        stream, last = self._stream(self._model, inputs), False
        try:
            for progress in stream:
                last = is_last(progress)
                yield progress
        finally:
            if not last:
                self.take_out()
                for _ in stream:
                    pass

    def take_out(self) -> None:
        """Before its next step; where there is nothing to take out, nothing happens."""
        self._tell(TAKE_OUT, {})

    def _tell(self, what: int, tensors: Arrays) -> None:
        steps = {"STEPS": np.full((1, 1), what, np.int32)}
        for _ in self._stream(self._model, BLANK | tensors | steps | self._ticket):
            pass


def is_last(progress: Arrays) -> bool:
    done, steps = progress["STEP"][0].tolist()
    return done == steps

"""One edit at a lane's denoiser: its source is announced, it is carried out and, if need be, taken
out under one ticket."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from retouch.families.denoise_request import Arrays
from retouch.serving.denoise_params import PREFILL, DenoiseParams

NAMES = (
    "LATENTS",
    "PROMPT_EMBEDS",
    "PROMPT_EMBEDS_POOLED",
    "NEGATIVE_EMBEDS",
    "NEGATIVE_EMBEDS_POOLED",
    "REFERENCE_LATENTS",
    "BOXES",
    "CELLS",
    "INFO",
)
# every input is required, also where only the order counts
BLANK: Arrays = {
    "LATENTS": np.zeros((1, 1, 1, 1), np.float32),
    **{name: np.zeros((1, 0, 0), np.float32) for name in ("PROMPT_EMBEDS", "NEGATIVE_EMBEDS")},
    **{
        name: np.zeros((1, 0), np.float32)
        for name in ("PROMPT_EMBEDS_POOLED", "NEGATIVE_EMBEDS_POOLED", "REFERENCE_LATENTS")
    },
    "BOXES": np.zeros((1, 1, 2, 4), np.float32),
    "CELLS": np.zeros((1, 1), bool),
    "INFO": np.full((1, 1), b"", object),
    "SOURCE": np.full((1, 3), b"", object),
}


class DenoiserClient:
    """`stream(model, inputs)` reaches a denoiser and yields its answers; it cannot be dropped
    half-way. `leave(lane, ticket)` takes an edit out."""

    def __init__(
        self,
        stream: Callable[[str, Arrays], Iterator[Arrays]],
        leave: Callable[[str, str], None],
        lane: str,
    ):
        self._stream = stream
        self._leave = leave
        self._lane = lane
        self._name = secrets.token_hex(8)

    def look(self, latents: Arrays) -> None:
        """Let it see the source ahead of the edit."""
        for _ in self._stream(
            self._model, BLANK | latents | {"PARAMS": _array(DenoiseParams(PREFILL, self._name))}
        ):
            pass

    def edit(self, order: DenoiseParams, tensors: Arrays) -> Iterator[Arrays]:
        """Its answers: previews where they are due, then the last. Closing the iterator takes the
        edit out; one that has ended by itself, in whichever way, need not be."""
        order = replace(order, ticket=self._name)
        inputs = {name: tensors[name] for name in NAMES} | {
            "SOURCE": BLANK["SOURCE"],
            "PARAMS": _array(order),
        }
        stream = self._stream(self._model, inputs)
        for progress in stream:
            try:
                yield progress
            except GeneratorExit:
                if not is_last(progress):
                    self.take_out()
                for _ in stream:
                    pass
                raise

    def take_out(self) -> None:
        """Before its next step; where there is nothing to take out, nothing happens."""
        self._leave(self._lane, self._name)

    @property
    def _model(self) -> str:
        return f"denoiser_{self._lane}"


def is_last(progress: Arrays) -> bool:
    done, steps = progress["STEP"][0].tolist()
    return done == steps


def _array(order: DenoiseParams) -> np.ndarray:
    return np.array([[order.to_json().encode()]], object)

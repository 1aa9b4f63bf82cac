"""How an adapter reaches a graph: low-rank branches whose matrices are inputs, or patched
initialisers with a session for every adapter."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import psutil

from benchmarks.interleave import in_turns, medians
from benchmarks.merged_adapters import patched, random_adapter
from retouch.backends.onnx import OnnxBackend, session
from retouch.families.denoise_request import Arrays

STEPS = 10  # timed, of a way
TOKENS = 64  # of the target and of the reference
RANK = 16


@dataclass(frozen=True)
class Way:
    """How an adapter reaches the graph `step`: milliseconds of a step, and what an adapter's first
    use takes: seconds, and megabytes of memory that stay. Without an adapter, it is the opening of
    the graph."""

    name: str
    step_ms: float
    first_use_s: float
    first_use_mb: float


def ways(lane: Path) -> list[Way]:
    """A step without branches, with branches and no adapter, with one, and with one in patched
    initialisers."""
    matrices = random_adapter(lane, 0, RANK)
    plain, plain_s, plain_mb = _cost(lambda: OnnxBackend(lane, "step"))
    inputs = _inputs(plain)
    branched = OnnxBackend(lane, "step")
    _, opening_s, opening_mb = _cost(branched.accept_adapters)
    merged, patch_s, patch_mb = _cost(lambda: session(patched(lane / "step.onnx", matrices, True)))
    copies, copy_s, _ = _cost(lambda: {name: matrix.copy() for name, matrix in matrices.items()})
    spent = medians(
        in_turns(
            {
                "plain": lambda turn: plain.run(**inputs),
                "none": lambda turn: branched.run(**inputs),
                "one": lambda turn: branched.run(**inputs, **copies),
                "patched": lambda turn: merged.run(None, inputs),
            },
            STEPS,
        )
    )
    loaded_mb = sum(matrix.nbytes for matrix in copies.values()) / 1e6
    return [
        Way("without branches", spent["plain"], plain_s, plain_mb),
        Way("branches, no adapter", spent["none"], opening_s, opening_mb),
        Way(f"branches, rank {RANK}", spent["one"], copy_s, loaded_mb),
        Way("patched initialisers", spent["patched"], patch_s, patch_mb),
    ]


def _inputs(backend: OnnxBackend) -> Arrays:
    """Noise for the graph's inputs, of one edit."""
    rng = np.random.default_rng(0)
    sizes = {"batch": 1, "region": TOKENS, "cells": TOKENS}
    inputs = {}
    for value in backend._session.get_inputs():
        shape = cast("list[int]", [sizes.get(str(size), size) for size in value.shape])
        inputs[value.name] = rng.random(shape, np.float32)
    return inputs


def _cost(make: Callable[[], object]) -> tuple:
    """What a call makes, its seconds, and the megabytes of memory that it leaves."""
    process = psutil.Process()
    before = process.memory_info().rss
    begin = time.perf_counter()
    made = make()
    return made, time.perf_counter() - begin, (process.memory_info().rss - before) / 1e6

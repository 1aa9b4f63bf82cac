"""Lanes of the small graphs, exported with plans as `--tensorrt` does it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from graphs import WIDTH, reference, step

from retouch.artifacts.manifest import Manifest, publish
from retouch_export.tensorrt import Options, build_plans

CELLS = 8
TABLE = [
    {"batch": batch, "cells": (cells,) * 3, "region": (1, cells, cells)}
    for cells in (CELLS, 6)
    for batch in ((1, 1, 1), (2, 4, 4))
]


def options(root: Path, **changes: object) -> Options:
    return replace(Options(profiles=TABLE, cache=root / "cache"), **changes)


def folder_of(root: Path, precision: str) -> Path:
    return root / f"denoiser_{precision}" / "1"


def export(root: Path, precision: str, say=lambda label, done: None, **changes: object) -> Path:
    """The version folder of a lane with its graphs and plans; what `build_plans` raises leaves
    nothing in it."""
    folder = folder_of(root, precision)
    staging = folder.parent / ".partial"
    staging.mkdir(parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True)
    for name, make in (("reference", reference), ("step", step)):
        onnx.save(make(precision), staging / f"{name}.onnx")
    plans = build_plans(staging, staging, precision, options(root, **changes), say)
    publish(
        staging,
        folder,
        Manifest(
            "instructx",
            "c" * 64,
            precision,
            "bfloat16",
            23,
            plans={name: plan.to_manifest() for name, plan in plans.items()},
        ),
    )
    return folder


def inputs(
    batch: int = 1, region: int = 5, cells: int = CELLS, seed: int = 0
) -> dict[str, np.ndarray]:
    """Inputs of `step`; k has numbers that bfloat16 rounds."""
    rng = np.random.default_rng(seed)
    return {
        "tokens": rng.standard_normal((batch, region, WIDTH), np.float32),
        "timestep": rng.uniform(0.1, 1, batch).astype(np.float32),
        "k": rng.standard_normal((batch, cells, WIDTH), np.float32),
    }

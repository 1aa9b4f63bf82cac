"""Summary of a checkpoint before its export: networks, sizes of lanes, GPUs that they fit on, and
missing files."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from retouch.api.lanes import LANES
from retouch_export.checkpoint import Checkpoint
from retouch_export.checkpoint_files import CheckpointError
from retouch_export.memory import GPUS, Demand, Sizes, demand
from retouch_export.pipeline import Pipeline
from retouch_export.server_memory import Layout, layouts
from retouch_export.sizes import Network, Shapes, lane_bytes, measured
from retouch_export.validate import TRANSFORMER, faults, networks

PAIRS = "calibration/pairs.jsonl"
QUERIES = "meta_queries/config.json"


@dataclass(frozen=True)
class Fit:
    """The largest batch of edits of side × side pixels in a step of `lane` on a GPU: with all
    networks on it (`whole`), or only the transformer (`alone`). None if the GPU has no kernels for
    the lane."""

    gpu: str
    gigabytes: int
    lane: str
    side: int
    whole: int | None
    alone: int | None


@dataclass(frozen=True)
class Summary:
    """What is known of a checkpoint.

    `lanes` are the transformer's bytes by lane and tier. `steps` and `guidance` are the defaults
    (0: none). `twice` says whether guidance runs the transformer twice a step. `layouts` are what
    to put where on GPUs of usual sizes. `missing` and `optional` are sentences about what an export
    needs, and what only some lanes need."""

    pipeline: str
    family: str
    steps: int
    guidance: float
    twice: bool
    networks: list[Network]
    lanes: dict[str, dict[str, int]]
    fits: list[Fit]
    missing: list[str]
    optional: list[str]
    layouts: list[Layout] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """All fields for JSON, under stable names."""
        return asdict(self)


def summary(folder: Path, hashed: bool = False, variant: str | None = None) -> Summary:
    """The summary of a checkpoint's folder; CheckpointError when its class is not supported.

    With `hashed` the files are compared with the hashes in the folder, if there are any."""
    checkpoint = Checkpoint(folder, variant)
    pipeline = _pipeline(checkpoint)
    missing = list(_missing(checkpoint, hashed))
    measures: dict[str, tuple[Network, Shapes]] = {}
    for name in networks(checkpoint):
        if not (checkpoint.folder / name / "config.json").is_file():
            continue  # reported as missing
        try:
            measures[name] = measured(checkpoint, name)
        except CheckpointError as failure:
            missing += [] if str(failure) in missing else [str(failure)]
    shapes = measures[TRANSFORMER][1] if TRANSFORMER in measures else {}
    lanes = {lane: lane_bytes(shapes, lane) for lane in LANES} if shapes else {}
    others = sum(
        network.parameters for name, (network, _) in measures.items() if name != TRANSFORMER
    )
    steps = pipeline.steps or int(checkpoint.config.get("default_steps", 0))
    return Summary(
        checkpoint.config["_class_name"],
        pipeline.family,
        steps,
        pipeline.guidance,
        pipeline.runs_twice,
        [network for network, _ in measures.values()],
        lanes,
        list(_fits(checkpoint, pipeline, lanes, others)) if lanes else [],
        missing,
        list(_optional(checkpoint)),
        _layouts(checkpoint, pipeline, lanes, {name: own for name, (_, own) in measures.items()}),
    )


def _pipeline(checkpoint: Checkpoint) -> Pipeline:
    """The pipeline of the checkpoint's class, with the checkpoint's own settings."""
    pipeline = checkpoint.pipeline
    if pipeline.distilled_steps and checkpoint.config.get("is_distilled"):
        pipeline = replace(pipeline, steps=pipeline.distilled_steps, guidance=0.0, runs_twice=False)
    if sizes := checkpoint.config.get("sizes"):
        pipeline = replace(pipeline, sides=(round(max(map(math.prod, sizes)) ** 0.5),))
    if (checkpoint.folder / QUERIES).is_file():
        pipeline = replace(
            pipeline,
            text_tokens=checkpoint.json(QUERIES).get("count", pipeline.text_tokens),
        )
    return pipeline


def _fits(
    checkpoint: Checkpoint, pipeline: Pipeline, lanes: dict[str, dict[str, int]], others: int
) -> Iterator[Fit]:
    sizes = _sizes(checkpoint)
    if sizes is None:
        return
    for gpu in GPUS:
        for lane, weights in lanes.items():
            for side in pipeline.sides:
                asked = demand(pipeline, sizes, side, sum(weights.values()), others)
                yield Fit(
                    gpu.name,
                    gpu.gigabytes,
                    lane,
                    side,
                    *_batches(asked, gpu.gigabytes, lane in gpu.lanes),
                )


def _layouts(
    checkpoint: Checkpoint,
    pipeline: Pipeline,
    lanes: dict[str, dict[str, int]],
    shapes: dict[str, Shapes],
) -> list[Layout]:
    sizes = _sizes(checkpoint) if lanes else None
    return list(layouts(shapes, lanes, pipeline, sizes)) if sizes else []


def _sizes(checkpoint: Checkpoint) -> Sizes | None:
    """The sizes in the configs; None where one is missing or unknown, which is reported."""
    try:
        vae = checkpoint.json("vae/config.json") if (checkpoint.folder / "vae").is_dir() else {}
        return Sizes.of(checkpoint.json(f"{TRANSFORMER}/config.json"), vae)
    except (CheckpointError, ValueError):
        return None


def _batches(asked: Demand, gigabytes: int, is_supported: bool) -> tuple[int | None, int | None]:
    return (
        (asked.batch(gigabytes, whole=True), asked.batch(gigabytes, whole=False))
        if is_supported
        else (None, None)
    )


def _missing(checkpoint: Checkpoint, hashed: bool) -> Iterator[str]:
    yield from faults(checkpoint, hashed=hashed)
    unlisted = [
        name for name in checkpoint.pipeline.components if name not in checkpoint.components
    ]
    if unlisted:
        yield (
            f"model_index.json lists no {', '.join(unlisted)}, "
            f"which a {checkpoint.config['_class_name']} has"
        )


def _optional(checkpoint: Checkpoint) -> Iterator[str]:
    if not (checkpoint.folder / PAIRS).is_file():
        yield (
            f"{PAIRS}: fp8 and fp4 need images and sentences to measure activations with "
            "(`retouch calibrate-data` makes them of photos), or a --calibration file"
        )

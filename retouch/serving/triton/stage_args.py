"""What the arguments of `initialize` make of a stage: its backend, its precisions, and the stage
itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from retouch.api.lanes import LANES
from retouch.backends.base import BackendFactory, lazy_backend_of
from retouch.backends.offload import OFFLOADING, is_offloaded
from retouch.serving.part_precision import (
    PartPrecision,
    ServedParts,
    exported_lanes,
    served_parts,
)
from retouch.serving.repository import family
from retouch.serving.triton.model_args import folder, optional, repository
from retouch.serving.warm_up import Stage, warm_up
from retouch.util import env

DEFAULT_RUNNER = "onnx"


def backend(args: dict[str, str]) -> BackendFactory:
    """The backend that the parameter `runner` of config.pbtxt names, `onnx` where there is none;
    ValueError. An offloaded stage runs by torch."""
    runner = optional(args, "runner") or DEFAULT_RUNNER
    if is_offloaded(args["model_name"], runner):
        return partial(lazy_backend_of(OFFLOADING), offload=True)
    return lazy_backend_of(runner)


def precisions(args: dict[str, str]) -> PartPrecision:
    """The precision of a stage's graphs by lane, from the parameter `precision`; ValueError."""
    return PartPrecision.parse(optional(args, "precision"), folder(args))


def parts(args: dict[str, str], make: Callable[..., Any]) -> ServedParts:
    """The model's stages by the lane of an edit, which `make(folder, backend=…)` makes;
    ArtifactError, ValueError."""
    return _parts(args, make, exported_lanes(repository(args), precisions(args)))


def part(args: dict[str, str], make: Callable[..., Any]) -> Any:
    """The stage of a model that has one precision for all lanes; ArtifactError, ValueError."""
    widest = LANES[0]
    return _parts(args, make, (widest,))(widest).stage


def _parts(args: dict[str, str], make: Callable[..., Any], lanes: Sequence[str]) -> ServedParts:
    runner = backend(args)
    return served_parts(
        folder(args),
        precisions(args),
        lambda graphs: warmed_up(args, make(graphs, backend=runner)),
        lanes,
    )


def warmed_up(args: dict[str, str], stage: Stage) -> Stage:
    """The stage, after the edits that RETOUCH_WARMUP names if its backend compiles; ValueError."""
    if stage.compiles and env.WARMUP.get():
        warm_up(stage, family(repository(args)))
    return stage

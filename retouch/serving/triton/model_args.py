"""The arguments of `initialize`: folders, parameters and lanes of a model."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils

from retouch.api.lanes import LANES, precision_of
from retouch.backends.base import BackendFactory, backend_of
from retouch.backends.offload import OFFLOADING, is_offloaded
from retouch.routing.router import adapted
from retouch.serving.part_precision import (
    PartPrecision,
    ServedParts,
    exported_lanes,
    served_parts,
)
from retouch.serving.repository import family
from retouch.serving.warm_up import Stage, warm_up
from retouch.util import env

DEFAULT_RUNNER = "onnx"


def folder(args: dict[str, str]) -> Path:
    """The version folder, which holds a stage's artifacts."""
    return Path(args["model_repository"]) / args["model_version"]


def repository(args: dict[str, str]) -> Path:
    """The folder of all models."""
    return Path(args["model_repository"]).parent


def parameter(args: dict[str, str], name: str) -> str:
    """A parameter of config.pbtxt."""
    return json.loads(args["model_config"])["parameters"][name]["string_value"]


def _optional(args: dict[str, str], name: str) -> str:
    """The same; empty where config.pbtxt does not have it."""
    parameters = json.loads(args["model_config"]).get("parameters", {})
    return parameters.get(name, {}).get("string_value", "")


def backend(args: dict[str, str]) -> BackendFactory:
    """The backend that the parameter `runner` of config.pbtxt names, `onnx` where there is none;
    ValueError. An offloaded stage runs by torch."""
    runner = _optional(args, "runner") or DEFAULT_RUNNER
    if is_offloaded(args["model_name"], runner):
        return partial(backend_of(OFFLOADING), offload=True)
    return backend_of(runner)


def precisions(args: dict[str, str]) -> PartPrecision:
    """The precision of a stage's graphs by lane, from the parameter `precision`; ValueError."""
    return PartPrecision.parse(_optional(args, "precision"), folder(args))


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


def lanes(args: dict[str, str]) -> Callable[[], tuple[str, ...]]:
    """A function that returns the loaded lanes: of those that config.pbtxt names, and of those
    that the repository has with an adapter in one of these precisions. It takes about 0.1 ms and
    does not work within `initialize`."""
    plain = parameter(args, "lanes").split(",")
    return lambda: _loaded(
        [*plain, *(lane for lane in adapted(repository(args)) if precision_of(lane) in plain)]
    )


def ensemble_lanes(args: dict[str, str]) -> Callable[[], tuple[str, ...]]:
    """A function that returns the loaded lanes of those that config.pbtxt names: an ensemble has
    no others."""
    return lambda: _loaded(parameter(args, "lanes").split(","))


def _loaded(lanes: list[str]) -> tuple[str, ...]:
    return tuple(lane for lane in lanes if pb_utils.is_model_ready(f"denoiser_{lane}"))

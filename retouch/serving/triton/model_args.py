"""What a model learns from the arguments of `initialize`: folders, parameters, loaded lanes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import triton_python_backend_utils as pb_utils

from retouch.api.lanes import precision_of
from retouch.routing.router import adapted


def folder(args: dict[str, str]) -> Path:
    """The version folder, where a stage's artifacts lie."""
    return Path(args["model_repository"]) / args["model_version"]


def parameter(args: dict[str, str], name: str) -> str:
    """A parameter of config.pbtxt."""
    return json.loads(args["model_config"])["parameters"][name]["string_value"]


def lanes(args: dict[str, str]) -> Callable[[], tuple[str, ...]]:
    """What tells which lanes are loaded now: of those that config.pbtxt names, and of those that
    the repository has with an adapter in one of these precisions; some 0.1 ms, not in
    `initialize`."""
    plain = parameter(args, "lanes").split(",")
    return lambda: _ready(
        [*plain, *(lane for lane in adapted(repository(args)) if precision_of(lane) in plain)]
    )


def ensemble_lanes(args: dict[str, str]) -> Callable[[], tuple[str, ...]]:
    """The same before an ensemble, which can serve by no lanes but those that config.pbtxt
    names."""
    return lambda: _ready(parameter(args, "lanes").split(","))


def _ready(named: list[str]) -> tuple[str, ...]:
    return tuple(lane for lane in named if pb_utils.is_model_ready(f"denoiser_{lane}"))


def repository(args: dict[str, str]) -> Path:
    """The folder of all models."""
    return Path(args["model_repository"]).parent

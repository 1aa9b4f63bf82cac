"""The arguments of `initialize`: folders, parameters and lanes of a model. Loads no backend."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import triton_python_backend_utils as pb_utils

from retouch.api.lanes import precision_of
from retouch.routing.router import adapted


def folder(args: dict[str, str]) -> Path:
    """The version folder, which holds a stage's artifacts."""
    return Path(args["model_repository"]) / args["model_version"]


def repository(args: dict[str, str]) -> Path:
    """The folder of all models."""
    return Path(args["model_repository"]).parent


def parameter(args: dict[str, str], name: str) -> str:
    """A parameter of config.pbtxt."""
    return json.loads(args["model_config"])["parameters"][name]["string_value"]


def optional(args: dict[str, str], name: str) -> str:
    """The same; empty where config.pbtxt does not have it."""
    parameters = json.loads(args["model_config"]).get("parameters", {})
    return parameters.get(name, {}).get("string_value", "")


def share(args: dict[str, str], name: str) -> float:
    """A parameter from 0 to 1, 0 where config.pbtxt does not have it; ValueError."""
    text = optional(args, name) or "0"
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ValueError(f"the parameter {name} is {text}; it must be from 0 to 1")
    return value


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

"""The families of checkpoints. To add one, add its name and its folder's to FAMILIES.

The folder of that name in `retouch.families` has `sampling.Family`, and `text.TextEncoder` where
the family has no parser of its own. The folder of that name in `retouch_export` has `PIPELINES`,
and a module with a `PART` for each model of the repository."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from retouch.families.base import Family

# the family's name in manifests: its folder
FAMILIES = {
    "instructx": "instructx",
    "flux-kontext": "flux_kontext",
    "flux2-klein": "flux2_klein",
    "flux2-klein-kv": "flux2_klein_kv",
    "flux2-dev": "flux2_dev",
    "qwen-image-edit": "qwen_image_edit",
    "qwen-image-21": "qwen_image_21",
}


def package_of(name: str) -> str:
    """The folder of the family called `name`; ValueError."""
    if name not in FAMILIES:
        raise ValueError(f"the family {name!r} is unknown; there are {', '.join(FAMILIES)}")
    return FAMILIES[name]


def class_of(name: str) -> type[Family]:
    """The class of the family called `name`; ValueError."""
    return importlib.import_module(f"{__package__}.{package_of(name)}.sampling").Family


def families_where(can: Callable[[type[Family]], bool]) -> str:
    """The names of the families that can do something, for an error's sentence."""
    return " or ".join(name for name in FAMILIES if can(class_of(name)))


def family_of(name: str, settings: dict[str, Any]) -> Family:
    """The family called `name`, of a lane's settings, with the lane's defaults; ValueError."""
    family = class_of(name)(settings)
    family.steps = settings.get("default_steps", family.steps)
    family.true_cfg = settings.get("default_true_cfg", family.true_cfg)
    if levels := settings.get("default_sigmas"):
        family.schedule = replace(family.schedule, levels=tuple(levels))
    return family

"""All pipeline classes that can be exported, by their names in `model_index.json`.

A family's own are `PIPELINES` of its folder here."""

from __future__ import annotations

import importlib
from dataclasses import replace

from retouch.families.registry import FAMILIES
from retouch_export.pipeline import Pipeline

PIPELINES: dict[str, Pipeline] = {
    name: replace(pipeline, family=family)
    for family, package in FAMILIES.items()
    for name, pipeline in importlib.import_module(f"{__package__}.{package}").PIPELINES.items()
}

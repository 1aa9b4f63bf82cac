"""A family is one folder here, one in the exporter, and one line in the registry."""

from __future__ import annotations

import importlib

import pytest

from retouch.families.base import Family
from retouch.families.registry import FAMILIES, class_of, package_of
from retouch.launcher.server import ROOT
from retouch_export.parts import Part, stages_of
from retouch_export.pipelines import PIPELINES

SHARED = {"qwen_vl", "__pycache__"}  # of several families


def test_every_folder_is_registered():
    folders = {path.name for path in (ROOT / "retouch" / "families").iterdir() if path.is_dir()}
    assert folders - SHARED == set(FAMILIES.values())


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_has_its_names(name):
    kind = class_of(name)
    assert issubclass(kind, Family) and not kind.__abstractmethods__
    assert "size_ranges" in vars(kind) and "text_tokens" in vars(kind)
    module = importlib.import_module(
        f"retouch.families.{package_of(name)}.{'parser' if kind.has_parser else 'text'}"
    )
    reader = module.Parser if kind.has_parser else module.TextEncoder
    assert callable(reader.encode_text)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_is_exported(name):
    assert [pipeline for pipeline in PIPELINES.values() if pipeline.family == name]
    assert all(isinstance(stage.part(), Part) for stage in stages_of(name))


def test_an_unknown_family_is_named():
    with pytest.raises(ValueError, match="'another' is unknown; there are instructx, flux-kontext"):
        package_of("another")

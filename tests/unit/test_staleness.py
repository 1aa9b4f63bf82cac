"""When an artifact is exported again: the sentence says which tool or source changed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from retouch.artifacts.manifest import NAME, Manifest, publish
from retouch.families.registry import FAMILIES
from retouch.launcher.server import ROOT
from retouch_export import sources
from retouch_export.parts import OPSET, STAGES, Stage, stages_of
from retouch_export.staleness import sources_of, versions, why_stale

STAGE = Stage("denoiser", "flux-kontext")
SHA256 = "c" * 64
ALL = [stage for family in FAMILIES for stage in stages_of(family)]


def exported(root, lane="bf16", **changed):
    """The version folder of a lane that was exported just now, but for what is `changed` in its
    manifest."""
    folder = STAGE.folder(root, lane)
    staging = folder.parent / ".partial"
    staging.mkdir(parents=True)
    folder.mkdir()
    (staging / "step.onnx").write_bytes(b"a graph")
    manifest = {
        "family": STAGE.family,
        "checkpoint_sha256": SHA256,
        "precision": lane,
        "arithmetic": "bfloat16",
        "opset": OPSET,
        "versions": versions(),
        "sources": sources_of(STAGE, lane),
    }
    publish(staging, folder, Manifest(**manifest | changed))
    return folder


def why(folder, lane="bf16", sha256=SHA256, adapter=None):
    return why_stale(STAGE, folder, sha256, lane, adapter)


@pytest.mark.parametrize("lane", ("bf16", "fp8", "fp4"))
def test_what_was_just_exported_is_current(tmp_path, lane):
    assert why(exported(tmp_path, lane), lane) is None


def test_what_is_not_there_is_missing(tmp_path):
    assert why(STAGE.folder(tmp_path, "bf16")) == "it is not there yet"


def test_another_checkpoint_lane_or_adapter(tmp_path):
    folder = exported(tmp_path)
    assert why(folder, sha256="d" * 64) == "it is of another checkpoint"
    assert why(folder, lane="fp8") == "it is of another lane, adapter or scale"
    assert why(folder, adapter={"name": "sketch"}) == "it is of another lane, adapter or scale"


def test_a_changed_file(tmp_path):
    folder = exported(tmp_path)
    (folder / "step.onnx").write_bytes(b"another graph")
    assert "step.onnx" in why(folder)
    (folder / NAME).unlink()
    assert "has no manifest.json" in why(folder)


def test_another_version_of_a_tool(tmp_path):
    folder = exported(tmp_path, versions=versions() | {"torch": "1.0"})
    assert why(folder) == f"it was made by torch 1.0, and {versions()['torch']} is installed"


def test_a_changed_source(tmp_path):
    before = sources_of(STAGE, "bf16") | {"retouch.diffusion.sigmas": "0" * sources.DIGITS}
    folder = exported(tmp_path, sources=before)
    assert why(folder) == "the source retouch.diffusion.sigmas changed since it was made"


def test_sources_that_come_and_go(tmp_path):
    before = sources_of(STAGE, "bf16") | {"retouch.a": "1", "retouch.b": "2"}
    folder = exported(tmp_path, sources=before)
    assert why(folder) == "the source retouch.a and 1 more changed since it was made"


def test_a_manifest_without_sources(tmp_path):
    assert why(exported(tmp_path, sources={})) == "it was made before manifests named their sources"


# -- the closure of imports ------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ALL, ids=lambda stage: f"{stage.family}-{stage.name}")
def test_every_stage_has_a_module_and_its_sources(stage):
    digests = sources_of(stage, "bf16")
    assert {stage.module, "retouch_export.exporter", "retouch_export.meta_trace"} <= digests.keys()
    assert not [name for name in digests if name.startswith(("retouch.serving", "retouch.engine"))]
    assert all(len(digest) == sources.DIGITS for digest in digests.values())


@pytest.mark.parametrize(
    "stage, modules",
    [
        (Stage("denoiser", "instructx"), ("networks.flux2", "diffusion.latents")),
        (Stage("denoiser", "instructx"), ("diffusion.box_features", "diffusion.preview")),
        (Stage("denoiser", "flux-kontext"), ("diffusion.sigmas", "networks.flux_kontext")),
        (
            Stage("vl_parser", "qwen-image-edit"),
            ("families.qwen_vl.rope", "families.qwen_vl.patches"),
        ),
        (Stage("vl_parser", "instructx"), ("networks.qwen_vl", "families.instructx.parser")),
    ],
)
def test_sources_reach_what_a_graph_is_made_of(stage, modules):
    assert {f"retouch.{module}" for module in modules} <= sources_of(stage, "bf16").keys()


def test_a_family_does_not_depend_on_the_others():
    digests = sources_of(Stage("denoiser", "qwen-image-edit"), "bf16")
    assert not [name for name in digests if "klein" in name or "kontext" in name]


def test_quantised_lanes_depend_on_calibration():
    assert "retouch_export.calibrate" in sources_of(STAGE, "fp8-sketch")
    assert "retouch_export.calibrate" not in sources_of(STAGE, "bf16-sketch")


def test_the_closure_is_what_python_imports():
    """All modules of ours that importing a stage's module loads, apart from those that the registry
    finds by name."""
    stage = Stage("denoiser", "flux2-klein-kv")
    code = (
        f"import sys, importlib; importlib.import_module({stage.module!r}); "
        "print(*[name for name in sys.modules if name.split('.')[0] in ('retouch', "
        "'retouch_export')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    by_name = {f"retouch_export.{folder}" for folder in FAMILIES.values()}
    assert set(done.stdout.split()) - by_name <= sources.closure(stage.module)


def test_staleness_needs_no_torch():
    code = (
        "import sys; from retouch_export.parts import stages_of; "
        "from retouch_export import staleness; "
        "[staleness.sources_of(stage, 'fp8') for stage in stages_of('instructx')]; "
        "assert not {'torch', 'diffusers', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_imports_for_type_checking_count_for_nothing(tmp_path, monkeypatch):
    package = tmp_path / "retouch_export"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "one.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from retouch_export import two\n"
        "def work():\n    import retouch_export.three\n"
    )
    for name in ("two", "three"):
        (package / f"{name}.py").write_text("import json\n")
    monkeypatch.setitem(sources.PACKAGES, "retouch_export", package)
    for cached in (sources.imports, sources._file):
        cached.cache_clear()
    try:
        assert sources.closure("retouch_export.one") == {
            "retouch_export",
            "retouch_export.one",
            "retouch_export.three",
        }
    finally:
        for cached in (sources.imports, sources._file):
            cached.cache_clear()


def test_every_family_exports_the_same_stages():
    assert [stage.name for stage in ALL] == list(STAGES) * len(FAMILIES)

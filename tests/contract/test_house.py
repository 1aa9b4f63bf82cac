"""The rules of the house that a machine can hold."""

from __future__ import annotations

import ast
import os
import subprocess
import sys

import pytest

from retouch.launcher.server import ROOT

MODELS = sorted((ROOT / "model_repository").glob("*/1/model.py"))
PACKAGE = sorted((ROOT / "retouch").rglob("*.py"))
HEAVY = ("torch", "diffusers", "transformers", "peft")


def imported(path):
    """Modules a file imports at its top level or inside its functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.parent.parent.name)
def test_model_files_are_thin(path):
    assert len(path.read_text().splitlines()) <= 40
    assert not any(
        name.split(".")[0] in (*HEAVY, "triton_python_backend_utils") for name in imported(path)
    )


def test_one_folder_knows_triton():
    knowing = {
        path.parent for path in PACKAGE if "triton_python_backend_utils" in set(imported(path))
    }
    assert knowing == {ROOT / "retouch" / "serving" / "triton"}


@pytest.mark.parametrize("package, file", [("tensorrt", "engine.py"), ("cuda.bindings", "cuda.py")])
def test_one_file_knows_each_package_of_nvidia(package, file):
    everywhere = [*PACKAGE, *(ROOT / "export").rglob("*.py")]
    assert [path.name for path in everywhere if package in set(imported(path))] == [file]


def test_errors_import_nothing_of_ours():
    assert not any(
        name.split(".")[0] == "retouch" for name in imported(ROOT / "retouch" / "api" / "errors.py")
    )


def test_the_request_imports_only_the_api():
    modules = set(imported(ROOT / "retouch" / "api" / "request.py"))
    assert all(name.startswith("retouch.api.") for name in modules if name.startswith("retouch"))


@pytest.mark.parametrize("path", PACKAGE, ids=lambda path: path.name)
def test_files_stay_short(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 300


def test_onnx_runtime_reports_to_nobody(tmp_path):
    """Its telemetry is on in the official wheels and leaves a file in the temporary folder where it
    runs."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in ("ORT_DISABLE_TELEMETRY", "CI")
    }
    code = "import retouch.backends.onnx, onnxruntime; onnxruntime.SessionOptions()"
    subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env={**env, "TMPDIR": str(tmp_path)}, check=True
    )
    assert list(tmp_path.iterdir()) == []


def test_the_serving_path_imports_no_torch():
    modules = {name for path in MODELS for name in imported(path) if name.startswith("retouch.")}
    modules = {name for name in modules if (ROOT / (name.replace(".", "/") + ".py")).is_file()} - {
        "retouch.serving.triton.stages"
    }
    code = f"""
import importlib, sys, types
sys.modules["triton_python_backend_utils"] = types.ModuleType("triton_python_backend_utils")
for name in {sorted(modules)} + ["retouch.serving.triton.stages", "retouch.client", "retouch.launcher.server", "retouch_clients.command"]:
    importlib.import_module(name)
print([name for name in {HEAVY} if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"

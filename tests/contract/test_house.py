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
# imported on the serving path, beside what model files import
LIGHT = (
    "retouch.serving.triton.stages",
    "retouch.client",
    "retouch.launcher.server",
    "retouch_clients.command",
)
HEAVY = ("torch", "diffusers", "transformers", "peft")
# the folders of retouch/: each imports only those before it
LAYERS = (
    "api",
    "util",
    "imaging",
    "quality",
    "artifacts",
    "diffusion",
    "networks",
    "backends",
    "families",
    "engine",
    "routing",
    "serving",
    "launcher",
    "offline",
    "client",
)
# packages of the project that a package may import beside itself
IMPORTS = {
    "retouch": set(),
    "retouch_export": {"retouch"},
    "retouch_clients": {"retouch", "retouch_export"},
    "training": {"retouch", "retouch_export", "retouch_clients"},
    "benchmarks": {"retouch", "retouch_export", "retouch_clients", "training"},
}
PARENTS = {"retouch_export": "export", "retouch_clients": "clients"}
# words that say nothing of the data that they name
BANNED = {"said", "told", "found", "wanted", "given", "each", "words"}
PLAIN = ("retouch", "clients", "export", "model_repository", "benchmarks", "training", "tests")


def imported(path):
    """Modules a file imports at its top level or inside its functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def layer(module):
    """The folder of retouch/ that a module belongs to; None for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in LAYERS else None


def test_every_folder_has_its_layer():
    folders = {path.parent.name for path in (ROOT / "retouch").glob("*/__init__.py")}
    assert folders == set(LAYERS)


@pytest.mark.parametrize("name", LAYERS)
def test_folders_import_only_those_above(name):
    allowed = {None, *LAYERS[: LAYERS.index(name) + 1]}
    wrong = {
        f"{path.relative_to(ROOT)} imports {module}"
        for path in sorted((ROOT / "retouch" / name).rglob("*.py"))
        for module in imported(path)
        if module.split(".")[0] == "retouch" and layer(module) not in allowed
    }
    assert not wrong, "\n".join(sorted(wrong))


@pytest.mark.parametrize("package, allowed", IMPORTS.items())
def test_packages_import_only_those_they_may(package, allowed):
    wrong = {
        f"{path.relative_to(ROOT)} imports {module}"
        for path in sorted((ROOT / PARENTS.get(package, "") / package).rglob("*.py"))
        for module in imported(path)
        if module.split(".")[0] in IMPORTS.keys() - {package, *allowed}
    }
    assert not wrong, "\n".join(sorted(wrong))


@pytest.mark.parametrize("folder", PLAIN)
def test_names_say_what_they_name(folder):
    wrong = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line, name in bound(path)
        if name in BANNED
    ]
    assert not wrong, "\n".join(sorted(wrong))


def bound(path):
    """Line and name of everything that a file assigns, loops over or takes as a parameter."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Attribute):
            yield node.lineno, node.target.attr


def test_the_environment_is_read_in_one_module():
    sources = [*PACKAGE, *(ROOT / "clients").rglob("*.py"), *(ROOT / "export").rglob("*.py")]
    reading = {
        path.relative_to(ROOT).as_posix()
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "putenv")
    }
    assert reading == {"retouch/util/env.py"}


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


def test_the_api_imports_nothing_else_of_ours():
    for path in (ROOT / "retouch" / "api").glob("*.py"):
        ours = [name for name in imported(path) if name.split(".")[0] == "retouch"]
        assert all(name.startswith("retouch.api") for name in ours), path.name


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
for name in {[*sorted(modules), *LIGHT]}:
    importlib.import_module(name)
print([name for name in {HEAVY} if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"

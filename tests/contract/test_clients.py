"""The folders of `clients/retouch_clients` import each other without circles."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter

import pytest

from retouch.launcher.server import ROOT

PACKAGE = ROOT / "clients" / "retouch_clients"
FILES = sorted(PACKAGE.rglob("*.py"))
OUTSIDE_THE_WHEEL = {"benchmarks", "training", "tests"}


def imported(path):
    """Modules that a file imports, at its top level or inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == PACKAGE.name:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def folder_of(module):
    """The folder of a module; a module at the top stands for itself."""
    return module.removeprefix(f"{PACKAGE.name}.").split(".")[0]


def test_folders_have_no_circle():
    arrows = {}
    for path in FILES:
        folder = path.relative_to(PACKAGE).with_suffix("").parts[0]
        own = {folder_of(name) for name in imported(path) if name.startswith(f"{PACKAGE.name}.")}
        arrows.setdefault(folder, set()).update(own - {folder})
    order = list(TopologicalSorter(arrows).static_order())  # CycleError names the circle
    assert order.index("cli") < order.index("commands") < order.index("command")


def test_nothing_is_imported_that_the_wheel_lacks():
    for path in FILES:
        assert not OUTSIDE_THE_WHEEL & {name.split(".")[0] for name in imported(path)}, path


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_stay_short(path):
    assert len(path.read_text().splitlines()) <= 300

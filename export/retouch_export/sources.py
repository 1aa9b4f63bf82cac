"""The source files that an artifact is made by: what its exporter imports, as far as it is ours.

Imports are read from the files; nothing is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import retouch
from retouch_export.hashes import sha256

PACKAGES = {"retouch": Path(retouch.__file__).parent, __package__: Path(__file__).parent}
DIGITS = 12  # of a file's SHA-256 in a manifest


def digests(modules: Iterable[str]) -> dict[str, str]:
    """The first digits of the SHA-256 of each module's file."""
    return {module: sha256(_own_file(module))[:DIGITS] for module in sorted(modules)}


def closure(*modules: str, without: str = "") -> set[str]:
    """The names of `modules` and of all modules that they import, directly or not, as far as they
    are ours and not in the package `without`."""
    seen: set[str] = set()
    waiting = [module for module in modules if _file(module) is not None]
    while waiting:
        module = waiting.pop()
        if module not in seen and not f"{module}.".startswith(f"{without}."):
            seen.add(module)
            waiting += imports(module)
    return seen


@cache
def imports(module: str) -> frozenset[str]:
    """The modules of ours that a module's file imports, inside its functions too, and the packages
    that it lies in; not what is imported for type checking alone."""
    tree = ast.parse(_own_file(module).read_text(encoding="utf-8"))
    names = {name for node in _nodes(tree) for name in _imported(node)}
    names |= {".".join(module.split(".")[:depth]) for depth in range(1, module.count(".") + 1)}
    return frozenset(name for name in names if name != module and _file(name) is not None)


def _nodes(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from _nodes(child)


def _imported(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _own_file(module: str) -> Path:
    """The file of a module of ours; ValueError for any other name."""
    file = _file(module)
    if file is None:
        raise ValueError(f"{module} is in none of the packages {', '.join(PACKAGES)}")
    return file


@cache
def _file(module: str) -> Path | None:
    """The file of a module of ours; None for any other name."""
    package, *names = module.split(".")
    if package not in PACKAGES:
        return None
    path = PACKAGES[package].joinpath(*names)
    files = (path / "__init__.py", path.with_suffix(".py"))
    return next((file for file in files if file.is_file()), None)

"""Arithmetic on symbolic sizes, which torch repeats for every tensor of a trace.

A trace computes hundreds of thousands of sums, products and comparisons of the same few sizes. Only
some thousands of them differ."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from torch.fx.experimental.proxy_tensor import get_proxy_mode
from torch.fx.experimental.sym_node import SymNode

# of SymNode, whose result depends on two expressions and on nothing else
OPERATIONS = (
    "_add",
    "_sub",
    "_mul",
    "_eq",
    "_ne",
    "_lt",
    "_gt",
    "_le",
    "_ge",
    "_sym_max",
    "_and_",
    "_or_",
)
PLAIN = (int, float, bool, type(None))


@contextlib.contextmanager
def remembered() -> Iterator[None]:
    """Compute every operation on two symbolic sizes once within the `with` block. A release of
    torch without one of OPERATIONS computes that one as it does."""
    originals = {name: getattr(SymNode, name) for name in OPERATIONS if hasattr(SymNode, name)}
    results: dict[tuple, SymNode] = {}
    for name, operation in originals.items():
        setattr(SymNode, name, _remembering(name, operation, results))
    try:
        yield
    finally:
        for name, operation in originals.items():
            setattr(SymNode, name, operation)


def _remembering(
    name: str, operation: Callable[[Any, Any], Any], results: dict[tuple, Any]
) -> Callable[[Any, Any], Any]:
    """`operation` with its results in `results`. While torch records operations in a graph, every
    one is computed."""

    def compute(left: Any, right: Any) -> Any:
        is_plain = type(left._hint) in PLAIN and type(right._hint) in PLAIN
        if left.shape_env is None or not is_plain or get_proxy_mode() is not None:
            return operation(left, right)
        key = name, left.shape_env, left.shape_env._replacements_version_counter
        key += _state(left) + _state(right)
        if key not in results:
            results[key] = operation(left, right)
        return results[key]

    return compute


def _state(size: Any) -> tuple:
    """All that a result takes from a size."""
    return size._expr, size.pytype, size._hint, size._optimized_summation

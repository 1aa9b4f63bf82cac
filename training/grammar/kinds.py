"""The named cut-outs: their nouns in every language."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

from training.grammar.nouns import Kinds
from training.vocabulary import KINDS

Value = TypeVar("Value")


def cached_by_kinds(function: Callable[[Kinds], Value]) -> Callable[[Kinds], Value]:
    """The function with its results kept, one for every mapping of kinds."""
    results: dict[int, tuple[Kinds, Value]] = {}

    @wraps(function)
    def cached(kinds: Kinds) -> Value:
        kept = results.get(id(kinds))
        if kept is None or kept[0] is not kinds:
            kept = kinds, function(kinds)
            results[id(kinds)] = kept
        return kept[1]

    return cached


@cached_by_kinds
def english_nouns(kinds: Kinds) -> tuple[str, ...]:
    """All English nouns of the kinds and of the drawn shapes."""
    return (*(noun for kind in kinds.values() for noun in kind["en"]), *KINDS)

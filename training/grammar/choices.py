"""Random choices."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

Option = TypeVar("Option")


def pick(rng: Random, options: Sequence[Option], plain: bool = False) -> Option:
    """One of `options`; `plain` takes the first, which is the usual one."""
    return options[0 if plain else int(rng.random() * len(options))]


def weighted(rng: Random, options: Sequence[tuple[float, Option]]) -> Option:
    """One of the options, which are pairs of a weight and a value."""
    draw = rng.random() * sum(weight for weight, _ in options)
    for weight, value in options:
        draw -= weight
        if draw < 0:
            return value
    return options[-1][1]

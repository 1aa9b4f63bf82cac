"""Options that several benchmarks have."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def some_of(allowed: tuple[str, ...]) -> Callable[[str], tuple[str, ...]]:
    """A type of argparse: names of `allowed`, between commas; they are put in its order."""

    def parsed(text: str) -> tuple[str, ...]:
        names = text.split(",")
        if not {*names} <= {*allowed}:
            raise argparse.ArgumentTypeError(f"{text!r} must be of {', '.join(allowed)}")
        return tuple(name for name in allowed if name in names)

    return parsed

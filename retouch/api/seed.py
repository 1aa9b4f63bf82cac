"""The seed of a request that has none."""

from __future__ import annotations

import secrets


def new_seed() -> int:
    """A random seed, at least 0 and less than 2³¹."""
    return secrets.randbelow(2**31)

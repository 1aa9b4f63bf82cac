"""Packages of others that only some benchmarks want."""

from __future__ import annotations

import sys
from importlib.util import find_spec


def need(package: str) -> None:
    """End the program, before it measures anything, where the package is not installed."""
    if find_spec(package) is None:
        sys.exit(f"error: this needs the package {package}; `make opponents` installs it")
